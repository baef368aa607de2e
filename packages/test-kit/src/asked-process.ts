import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What a script sends: the answer to the question of that number, 0 when it has started; anything else it tells. */
interface Answered {
  readonly id: number
  readonly answer: unknown
}

/**
 * A script in a process of its own, with its settings as JSON in its one argument, which answers questions over the
 * channel of `fork`: `{ id, question }` with `{ id, answer }`. A question of `{ ask: 'close' }` ends it by itself.
 */
export class AskedProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #asked = 0

  /** Of whoever inherits: use `start`. */
  constructor(script: URL, settings: unknown, told: (message: never) => void) {
    this.#child = fork(fileURLToPath(script), [JSON.stringify(settings)], {
      execArgv: ['--conditions=@holdfast/source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message: Answered) => {
      if (!Object.hasOwn(message, 'id')) return told(message as never)
      this.#waiting.get(message.id)?.resolve(message.answer)
      this.#waiting.delete(message.id)
    })
    this.#child.once('exit', (code, signal) => {
      this.#waiting.get(0)?.reject(new Error(`the process ended with ${code ?? signal}`))
    })
  }

  /** Resolves when it has started. `told` is given every message that answers nothing. */
  static async start<Process extends AskedProcess>(
    this: new (
      script: URL,
      settings: unknown,
      told: (message: never) => void,
    ) => Process,
    script: URL,
    settings: unknown,
    told: (message: never) => void = () => {},
  ): Promise<Process> {
    const process = new this(script, settings, told)
    await process.#answerTo(0)
    return process
  }

  get pid(): number {
    return this.#child.pid ?? 0
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
    await this.ask({ ask: 'close' })
    return (await ended)[0]
  }

  /** Ends it in any case. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await this.kill9()
  }

  /** The answer is what the script makes of it; of a process that dies there is none, ever. */
  protected ask(question: { readonly ask: string; readonly [more: string]: unknown }): Promise<unknown> {
    this.#asked += 1
    const answer = this.#answerTo(this.#asked)
    this.#child.send({ id: this.#asked, question })
    return answer
  }

  /** Only the start rejects, when the process ends before. */
  #answerTo(id: number): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>()
    this.#waiting.set(id, answer)
    return answer.promise
  }
}
