// What has to be ended, however the demonstration ends: each thing is known from the moment in which it is begun, so that a
// signal at any time leaves nothing behind.

/** Ends one thing. `isHurried`: nobody waits for what it still does. */
export type Ending = (isHurried: boolean) => unknown

/** Something was to be begun after all of it had been ended. */
export class EndedError extends Error {
  override readonly name = 'EndedError'
}

export class Endings {
  readonly #list: Ending[] = []
  #closing: Promise<void> | undefined

  /** Runs at the end, before those that were added before it. @throws {EndedError} */
  add(end: Ending): void {
    if (this.#closing !== undefined) throw new EndedError('it is over')
    this.#list.push(end)
  }

  /** Begins something, and ends it in the end, also when that comes while it is still beginning. @throws {EndedError} */
  begin<T>(start: () => Promise<T>, end: (started: T, isHurried: boolean) => unknown): Promise<T> {
    if (this.#closing !== undefined) throw new EndedError('it is over')
    const starting = start()
    this.add((isHurried) =>
      starting.then(
        (started) => end(started, isHurried),
        () => {},
      ),
    )
    return starting
  }

  /** Ends everything, once, whoever asks for it. What cannot be ended keeps nothing else from its end. */
  close(isHurried = false): Promise<void> {
    this.#closing ??= this.#close(isHurried)
    return this.#closing
  }

  async #close(isHurried: boolean): Promise<void> {
    const failures: unknown[] = []
    for (const end of this.#list.splice(0).reverse()) {
      try {
        await end(isHurried)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be ended')
  }
}
