/** Work that is done once when it succeeds: callers share it while it runs, and a failure is not remembered. */
export class Once<T> {
  readonly #work: () => Promise<T>
  #running: Promise<T> | undefined
  #value: T | undefined

  constructor(work: () => Promise<T>) {
    this.#work = work
  }

  /** What the work answered, if it has. */
  get value(): T | undefined {
    return this.#value
  }

  /** The answer of the work, which starts now unless it runs or has succeeded. */
  get(): Promise<T> {
    this.#running ??= this.#work().then(
      (value) => {
        this.#value = value
        return value
      },
      (error: unknown) => {
        this.#running = undefined
        throw error
      },
    )
    return this.#running
  }

  /** The answer of work that was started, undefined when none was or it fails; starts nothing. */
  async settled(): Promise<T | undefined> {
    return this.#running?.catch(() => undefined)
  }
}
