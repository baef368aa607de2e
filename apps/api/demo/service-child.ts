// A process of the service, as it runs in production: `src/main.ts`, with its settings from the environment.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort, waitUntil } from '@holdfast/test-kit'
import { childEnvironment } from '../test/child-environment.ts'

const FOLDER = fileURLToPath(new URL('..', import.meta.url))
const START_MS = 180_000
/** `HANDLER_TIMEOUT` and `SHUTDOWN_REQUESTS` are 30 s; this is for machines that have other things to do. */
const PATIENCE_MS = 60_000
/** The end of what it has written. */
const MAX_OUTPUT = 20_000

export class ServiceChild {
  readonly name: string
  readonly port: number
  readonly #child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  output = ''

  private constructor(name: string, port: number, environment: Readonly<Record<string, string>>) {
    this.name = name
    this.port = port
    this.#child = spawn(process.execPath, ['--conditions=@holdfast/source', 'src/main.ts'], {
      cwd: FOLDER,
      env: {
        ...childEnvironment(),
        // It ends when the demonstration is gone, however that went.
        npm_lifecycle_event: 'demo',
        API_HOST: '127.0.0.1',
        API_PORT: String(port),
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Ctrl-C in a terminal is meant for the demonstration, which ends its processes in order.
      detached: true,
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-MAX_OUTPUT)
      })
    }
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({ code, signal }))
  }

  /** It is there at once, and not ready yet. */
  static async spawn(name: string, environment: Readonly<Record<string, string>>): Promise<ServiceChild> {
    return new ServiceChild(name, await freePort(), environment)
  }

  /** Resolves when it is ready to be sent requests. Rejects with what it has written when it ends before. */
  ready(): Promise<void> {
    return waitUntil(
      async () => {
        if (!this.isRunning) throw new Error(`${this.name} has ended: ${this.output}`)
        return (await statusOf(`${this.url}/readyz`)) === 200
      },
      { timeoutMs: START_MS, intervalMs: 50, what: `${this.name} to be ready` },
    )
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(signal)
  }

  /** In order, by force when that takes too long; at once by force for whoever is in a hurry. */
  async stop(isHurried = false): Promise<void> {
    this.signal(isHurried ? 'SIGKILL' : 'SIGTERM')
    const force = setTimeout(() => this.signal('SIGKILL'), PATIENCE_MS)
    await this.ended
    clearTimeout(force)
  }
}

/** Undefined when there is no answer for longer than any answer may take. */
export async function statusOf(url: string): Promise<number | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return undefined
  }
}
