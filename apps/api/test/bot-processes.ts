// Processes that run bots, started, frozen and ended by a test. See `bot-process.ts` for what each does.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { childEnvironment } from './child-environment.ts'

const PACKAGE = new URL('..', import.meta.url).pathname
const KEPT_OUTPUT = 10_000

/** What a process is started with. */
export interface BotProcessOptions {
  /** Differs in every process; the connections have it as their `application_name`. */
  readonly owner: string
  readonly url: string
  readonly tickMs: number
  readonly leaseMs: number
}

/** A process that runs bots. It ends with the test. */
export class BotProcess {
  readonly owner: string
  /** Resolves when it has ended, however. */
  readonly ended: Promise<unknown>
  readonly #child: ChildProcess
  #output = ''

  private constructor({ owner, url, tickMs, leaseMs }: BotProcessOptions) {
    const named = new URL(url)
    named.searchParams.set('application_name', owner)
    this.owner = owner
    this.#child = spawn(process.execPath, ['--conditions=@holdfast/source', 'test/bot-process.ts'], {
      cwd: PACKAGE,
      env: {
        ...childEnvironment(),
        DATABASE_URL: named.href,
        OWNER: owner,
        TICK_MS: String(tickMs),
        LEASE_MS: String(leaseMs),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child.stdout?.on('data', (chunk) => {
      this.#output = (this.#output + String(chunk)).slice(-KEPT_OUTPUT)
    })
    this.ended = once(this.#child, 'close')
  }

  /** Resolves once it has begun; nothing of the database is needed for that. */
  static async start(t: Test, options: BotProcessOptions): Promise<BotProcess> {
    const started = new BotProcess(options)
    t.teardown(() => started.end('SIGKILL'))
    await started.says('"begun"')
    return started
  }

  /** Waits until its latest output has that in it. */
  says(wanted: string | RegExp): Promise<void> {
    return waitUntil(() => this.#output.search(wanted) >= 0, {
      timeoutMs: 60_000,
      what: `${this.owner} to say ${wanted}`,
    })
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
