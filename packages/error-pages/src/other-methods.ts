// A path that exists, asked with a method that it has not: 405 with the methods it has in `Allow` (RFC 9110, 15.5.6),
// and OPTIONS, where a route does not answer it itself, 204 with the same.

/** The answer for one path. */
export interface OtherMethods {
  readonly url: string
  /** The methods that the path lacks. */
  readonly methods: readonly string[]
  /** The methods it has, and OPTIONS, for `Allow`. */
  readonly allow: string
}

/** Notes routes, and tells which methods their paths lack. */
export class MethodTable {
  readonly #methodsByPath = new Map<string, Set<string>>()

  /** Notes a route. */
  note(url: string, methods: readonly string[]): void {
    const known = this.#methodsByPath.get(url) ?? new Set()
    for (const each of methods) known.add(each)
    this.#methodsByPath.set(url, known)
  }

  /** What is missing at each path, of the methods that the server supports. */
  others(supported: readonly string[]): readonly OtherMethods[] {
    return [...this.#methodsByPath].map(([url, known]) => ({
      url,
      methods: supported.filter((method) => !known.has(method)),
      allow: [...new Set([...known, 'OPTIONS'])].toSorted().join(', '),
    }))
  }
}
