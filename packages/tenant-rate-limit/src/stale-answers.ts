/*
 * What is served instead of a refusal: something from a cache, at no cost but the bytes. Bounded by a limit of its own,
 * per tenant and in this process alone, so that it cannot become a way around the limits.
 */
import type { Clock } from '@holdfast/footing'
import { claim } from './claim.ts'
import { MemoryStore } from './memory-store.ts'
import type { Policy } from './policy.ts'

/** What `peek` of `@holdfast/stale-cache` answers, as far as it matters here. */
export interface PeekedLike {
  /** The bytes; undefined when there are none. */
  readonly representation: object | undefined
  /** `'default'` is no cached answer: it has no age. */
  readonly source: string
  /** Milliseconds since it was loaded. */
  readonly ageMs: number
}

/** What is needed of a reply. */
export interface StaleReply {
  code(status: number): unknown
  header(name: string, value: string): unknown
}

/** Buckets that are kept one by one. */
const MAX_TENANTS = 10_000

/** The bound of the answers that are served stale. */
export class StaleLimit {
  readonly #policy: Policy
  readonly #store: MemoryStore

  constructor(policy: Policy, clock: Clock) {
    this.#policy = policy
    this.#store = new MemoryStore({ clock, maxKeys: MAX_TENANTS })
  }

  /** Whether one more may be served to this tenant. */
  take(tenant: string): boolean {
    return this.#store.decide([claim(this.#policy, tenant, 'all')], 'consume').allowed
  }
}

/**
 * Sends what a route's `stale` answered. `'none'` when there is nothing, `'unsendable'` when it would need
 * `reply.sendRepresentation` and nobody has decorated that.
 */
export function sendStale(reply: StaleReply, answer: unknown): 'sent' | 'none' | 'unsendable' {
  if (answer === reply) return 'sent'
  if (!isPeeked(answer)) return 'none'
  // Of @holdfast/stale-cache, where that is registered.
  const { sendRepresentation } = reply as { readonly sendRepresentation?: unknown }
  if (typeof sendRepresentation !== 'function') return 'unsendable'
  reply.code(200)
  // Also where the cache would leave it out: only with an age does a client know that RateLimit may be ignored, and a
  // cache in front of us that it must not hand this answer to the clients that are within their limits.
  if (answer.source !== 'default') reply.header('age', String(Math.max(0, Math.floor(answer.ageMs / 1000))))
  sendRepresentation.call(reply, answer)
  return 'sent'
}

function isPeeked(answer: unknown): answer is PeekedLike {
  if (typeof answer !== 'object' || answer === null) return false
  const { representation, ageMs } = answer as Partial<PeekedLike>
  return typeof representation === 'object' && representation !== null && typeof ageMs === 'number'
}
