import type { Version } from './freshness.ts'
import type { Representation } from './representation.ts'

/** What a cache holds for a key at this moment. */
export interface Peeked<V, R extends Representation | undefined = Representation> {
  /**
   * `'fresh'`; `'stale'`: older than `freshMs`, or invalidated, and queued for a refresh; `'snapshot'`: from
   * the last-known-good file and not confirmed by the source since; `'default'`: `fallback` spoke.
   */
  readonly source: 'fresh' | 'stale' | 'snapshot' | 'default'
  /** Shared by everybody who peeks: never mutate it. */
  readonly value: V
  readonly version: Version | undefined
  /** Its place in the order of all processes that share the second level; undefined when it was read without one. */
  readonly fence: number | undefined
  /** Milliseconds since the load that brought it began; 0 for a default. */
  readonly ageMs: number
  /** Milliseconds of freshness left, 0 or negative when it is not fresh. */
  readonly ttlMs: number
  readonly representation: R
}

/** The part of a cache that a request handler needs: it cannot reach the source. */
export interface StaleReader<V, R extends Representation | undefined = Representation> {
  peek(key: string): Peeked<V, R>
}
