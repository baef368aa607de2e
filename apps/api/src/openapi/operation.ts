// What a route says of itself for its readers, beside what Fastify needs of its schema. A route with a `summary` and a
// schema for its answer is in the document; who may use it, and what is refused before its handler, is read from its
// `config`.

import type {} from '@fastify/swagger'

/** The class of an error that a route refuses with. */
export type ProblemClass = new (
  ...given: never[]
) => Error & {
  readonly code: string
  readonly statusCode?: number | undefined
}

/** A way in which a request ends, as the document tells it. */
export interface Refusal {
  readonly status: number
  /** The member `error` of the problem document. */
  readonly code: string
  readonly detail: string
}

/** Who sends an example. */
export type Asker = 'nobody' | 'user' | 'admin' | 'operator-token'

/** A request and its answer. Both stand in the document, and a test sends the one and compares the other. */
export interface Example {
  /** Unique for its operation: `a_bot_is_started`. */
  readonly name: string
  readonly summary: string
  /** Default: whoever the route is for. */
  readonly as?: Asker
  /** By the name of the parameter, of the path, the query or the headers. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>>
  readonly body?: unknown
  readonly status: number
  /** As JSON, or as text. Left out where there is no body. */
  readonly answer?: unknown
}

declare module 'fastify' {
  interface FastifySchema {
    /** What its handler refuses with. */
    problems?: readonly (ProblemClass | Refusal)[]
    examples?: readonly Example[]
    /** What a handler reads itself, because it has more to say about it than a schema: validates nothing. */
    bodyForReaders?: object
  }
}
