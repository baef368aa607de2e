// A path that exists, asked with a method that it has not: 405 with the methods it has in `Allow` (RFC 9110, 15.5.6),
// and OPTIONS, where a route does not answer it itself, 204 with the same.

/** What is asked of a server. */
export interface Routes {
  /** The methods that it knows. */
  readonly supported: readonly string[]
  /** How it reads paths. */
  readonly reading: PathReading
  /** Whether there is this route. */
  has(method: string, url: string): boolean
}

/** How a server reads paths. */
export interface PathReading {
  readonly ignoreTrailingSlash?: boolean | undefined
  readonly ignoreDuplicateSlashes?: boolean | undefined
  readonly caseSensitive?: boolean | undefined
}

/** The answer for one path. */
export interface OtherMethods {
  readonly url: string
  /** The methods that the path lacks; at least one. */
  readonly methods: readonly string[]
  /** The methods it has, and OPTIONS, for `Allow`. */
  readonly allow: string
}

/** Notes routes. Bounded by the routes that there are. */
export class PathTable {
  readonly #methodsByUrl = new Map<string, Set<string>>()

  /** Notes a route. */
  note(url: string, methods: readonly string[]): void {
    const known = this.#methodsByUrl.get(url) ?? new Set()
    for (const each of methods) known.add(each)
    this.#methodsByUrl.set(url, known)
  }

  /** What is missing at each path, whatever its parameters are called: `/bots/:id` and `/bots/:bot` are one. */
  others({ supported, reading, has }: Routes): readonly OtherMethods[] {
    return this.#paths(reading).flatMap(([url, known]) => {
      // Such as `*` of a plugin for CORS: it is asked about every address, and stands for none.
      if (known.size === 1 && known.has('OPTIONS')) return []
      // Of a route at `/` under a prefix Fastify tells one of its two paths alone.
      const methods = supported.filter((method) => !known.has(method) && !has(method, url))
      if (methods.length === 0) return []
      const present = supported.filter((method) => !methods.includes(method))
      return [{ url, methods, allow: [...new Set([...present, 'OPTIONS'])].toSorted().join(', ') }]
    })
  }

  /** By their first spelling. */
  #paths(reading: PathReading): readonly (readonly [url: string, methods: ReadonlySet<string>])[] {
    const byForm = new Map<string, readonly [string, Set<string>]>()
    for (const [url, methods] of this.#methodsByUrl) {
      const form = formOf(url, reading)
      const path = byForm.get(form) ?? ([url, new Set<string>()] as const)
      for (const each of methods) path[1].add(each)
      byForm.set(form, path)
    }
    return [...byForm.values()]
  }
}

/** A path as the server tells it from others. */
function formOf(url: string, { ignoreTrailingSlash, ignoreDuplicateSlashes, caseSensitive }: PathReading) {
  const named = url.replaceAll(/(?<!:):(?!:)[^/.(:-]+/g, ':')
  const squeezed = ignoreDuplicateSlashes ? named.replaceAll(/\/+/g, '/') : named
  const trimmed = ignoreTrailingSlash ? squeezed.replace(/(?<=.)\/$/, '') : squeezed
  return caseSensitive === false ? trimmed.toLowerCase() : trimmed
}
