/** Several processes with one guarded route, started, asked and ended by a test. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { ConcurrencyGuardSnapshot } from '../src/index.ts'
import type { Answer, ProcessSettings, Told } from './guarded-process.ts'

const script = fileURLToPath(new URL('./guarded-process.ts', import.meta.url))

/** A handler that started. */
export type Started = Told & { readonly told: 'started' }

/** An answer of the route. */
export interface Answered {
  readonly status: number
  readonly body: Partial<Answer> & Record<string, unknown>
}

export class GuardedProcess {
  readonly #child: ChildProcess
  readonly #port: number

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.#port = port
  }

  static async start(
    settings: ProcessSettings,
    onStarted: (started: Started) => void,
  ): Promise<GuardedProcess> {
    const child = fork(script, [JSON.stringify(settings)], {
      execArgv: ['--conditions=@holdfast/source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    child.on('message', (told: Told) => {
      if (told.told === 'listening') resolve(told.port)
      else onStarted(told)
    })
    child.once('exit', (code) => reject(new Error(`the process ended with ${code}`)))
    return new GuardedProcess(child, await promise)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** A connection of its own for each request, so that none waits for another one. */
  async work(key: string, waits = false): Promise<Answered> {
    return this.#ask('POST', `/work/${key}?waits=${waits}`)
  }

  async snapshot(): Promise<ConcurrencyGuardSnapshot> {
    return (await this.#ask('GET', '/snapshot')).body as unknown as ConcurrencyGuardSnapshot
  }

  /** Lets the handlers of a key go on. */
  goOn(key: string): void {
    this.#child.send({ goOn: key })
  }

  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  async kill9(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  async #ask(method: string, path: string): Promise<Answered> {
    const client = request({ host: '127.0.0.1', port: this.#port, method, path, agent: false })
    client.end()
    const [response] = await once(client, 'response')
    const parts: Buffer[] = []
    for await (const part of response) parts.push(part)
    return { status: response.statusCode, body: JSON.parse(Buffer.concat(parts).toString()) }
  }
}

/** A fleet of so many processes, and the handlers that they told of. */
export async function startFleet(count: number, settings: ProcessSettings) {
  const started: Started[] = []
  const processes = await Promise.all(
    Array.from({ length: count }, () => GuardedProcess.start(settings, (handler) => started.push(handler))),
  )
  return {
    processes,
    started,
    /** By the pid that a handler told. */
    of(pid: number | undefined): GuardedProcess {
      const found = processes.find((process) => process.pid === pid)
      if (found === undefined) throw new Error(`no process ${pid}`)
      return found
    },
    async end(): Promise<void> {
      await Promise.all(processes.map((process) => process.kill9()))
    },
  }
}
