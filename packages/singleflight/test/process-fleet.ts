/** Several processes of one fleet, started, asked and ended by a test. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { SingleflightSnapshot } from '../src/index.ts'
import type { CallResult, ProcessSettings, Question, Started } from './fleet-process.ts'

const script = fileURLToPath(new URL('./fleet-process.ts', import.meta.url))

export class FleetProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: unknown) => void>()
  #asked = 0

  private constructor(child: ChildProcess, onStarted: (started: Started['started']) => void) {
    this.#child = child
    child.on('message', (message: { id: number; answer: unknown } | Started) => {
      if ('started' in message) onStarted(message.started)
      else this.#waiting.get(message.id)?.(message.answer)
    })
  }

  static async start(settings: ProcessSettings, onStarted: (started: Started['started']) => void) {
    const child = fork(script, [JSON.stringify(settings)], {
      execArgv: ['--conditions=@holdfast/source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const process = new FleetProcess(child, onStarted)
    await new Promise((resolve, reject) => {
      process.#waiting.set(0, resolve)
      child.once('exit', (code) => reject(new Error(`the process ended with ${code}`)))
    })
    return process
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  fly(question: Omit<Question & { ask: 'fly' }, 'ask'>): Promise<CallResult[]> {
    return this.#ask({ ask: 'fly', ...question }) as Promise<CallResult[]>
  }

  snapshot(): Promise<SingleflightSnapshot> {
    return this.#ask({ ask: 'snapshot' }) as Promise<SingleflightSnapshot>
  }

  forget(key: string): Promise<boolean> {
    return this.#ask({ ask: 'forget', key }) as Promise<boolean>
  }

  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  async kill9(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  /** Closes what it holds and answers the exit code with which it then ends by itself. */
  async close(): Promise<number | null> {
    const ended = once(this.#child, 'exit') as Promise<[number | null]>
    await this.#ask({ ask: 'close' })
    return (await ended)[0]
  }

  /** Ends it in any case. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await this.kill9()
  }

  #ask(question: Question): Promise<unknown> {
    this.#asked += 1
    const id = this.#asked
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#child.send({ id, question })
    })
  }
}

/** A fleet of so many processes, and the executions that they told of. */
export async function startFleet(count: number, settings: ProcessSettings) {
  const started: Started['started'][] = []
  const processes = await Promise.all(
    Array.from({ length: count }, () => FleetProcess.start(settings, (execution) => started.push(execution))),
  )
  return {
    processes,
    started,
    async end() {
      await Promise.all(processes.map((process) => process.end()))
    },
  }
}
