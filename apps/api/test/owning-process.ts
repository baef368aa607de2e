// Processes that own something by leases, bots or sports, started, frozen and ended by a test. See `bot-process.ts` and
// `odds-process.ts` for what each does.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { childEnvironment } from './child-environment.ts'

const PACKAGE = new URL('..', import.meta.url).pathname
const KEPT_OUTPUT = 10_000

/** What a process is started with. */
export interface OwningProcessOptions {
  /** The file that it runs. */
  readonly script: 'bot-process.ts' | 'odds-process.ts'
  /** Differs in every process; the connections have it as their `application_name`. */
  readonly owner: string
  readonly url: string
  /** What the file wants besides. */
  readonly environment: Readonly<Record<string, string>>
}

/** A process that owns something. It ends with the test. */
export class OwningProcess {
  readonly owner: string
  /** Resolves when it has ended, however. */
  readonly ended: Promise<unknown>
  readonly #child: ChildProcess
  #output = ''

  private constructor({ script, owner, url, environment }: OwningProcessOptions) {
    const named = new URL(url)
    named.searchParams.set('application_name', owner)
    this.owner = owner
    this.#child = spawn(process.execPath, ['--conditions=@holdfast/source', `test/${script}`], {
      cwd: PACKAGE,
      env: {
        ...childEnvironment(),
        DATABASE_URL: named.href,
        OWNER: owner,
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child.stdout?.on('data', (chunk) => {
      this.#output = (this.#output + String(chunk)).slice(-KEPT_OUTPUT)
    })
    this.ended = once(this.#child, 'close')
  }

  /** Resolves once it has begun; nothing of the database is needed for that. */
  static async start(t: Test, options: OwningProcessOptions): Promise<OwningProcess> {
    const started = new OwningProcess(options)
    t.teardown(() => started.end('SIGKILL'))
    await started.says('"begun"')
    return started
  }

  /** Waits until its latest output has that in it. */
  says(wanted: string | RegExp): Promise<void> {
    return waitUntil(() => this.hasSaid(wanted), {
      timeoutMs: 60_000,
      what: `${this.owner} to say ${wanted}`,
    })
  }

  hasSaid(wanted: string | RegExp): boolean {
    return this.#output.search(wanted) >= 0
  }

  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  /** Resolves when it goes on: it has said something since. */
  async thaw(): Promise<void> {
    const before = this.#output
    this.#child.kill('SIGCONT')
    await waitUntil(() => this.#output !== before, { timeoutMs: 60_000, what: `${this.owner} to go on` })
  }

  /** Resolves when it has ended. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
    await this.ended
  }
}
