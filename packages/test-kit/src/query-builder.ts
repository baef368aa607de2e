/** Not written out below: the linter finds thenables that somebody made by mistake, and this one is made on purpose. */
const THEN = 'then'

/**
 * A query builder, as database libraries have them: it is no promise, and its query runs anew at every `then()`. Where
 * `query` throws, `then()` throws, which no promise does.
 */
export class QueryBuilder<T> implements PromiseLike<T> {
  /** How often its query ran. */
  runs = 0
  readonly #query: () => T | PromiseLike<T>

  constructor(query: () => T | PromiseLike<T>) {
    this.#query = query
  }

  [THEN]<Value = T, Failure = never>(
    onValue?: ((value: T) => Value | PromiseLike<Value>) | null,
    onFailure?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Value | Failure> {
    this.runs += 1
    return Promise.resolve(this.#query()).then(onValue, onFailure)
  }
}
