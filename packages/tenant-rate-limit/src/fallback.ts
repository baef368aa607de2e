/* What decides while the shared store is lost: each policy as its `onStoreLoss` says. */
import type { Claim } from './claim.ts'
import { MemoryStore, type MemoryStoreOptions } from './memory-store.ts'
import { type Decision, decisionOf } from './store.ts'

/** Decides at once, without the shared store. */
export interface Fallback {
  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Decision
  /** What the shared store decided, for a share of it should it be lost. */
  observe(decision: Decision): void
  refund(claims: readonly Claim[]): void | Promise<void>
  close(): Promise<void>
}

/** Local buckets of full size, for as long as the store is lost. */
export class LocalFallback implements Fallback {
  readonly #store: MemoryStore

  constructor(options: MemoryStoreOptions) {
    this.#store = new MemoryStore(options)
  }

  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Decision {
    const closed = claims.filter(({ policy }) => policy.onStoreLoss === 'closed' && !policy.shadow)
    if (closed.length > 0) {
      const empty = closed.map(({ policy }) => policy.toleranceTicks)
      return decisionOf(closed, empty, mode, 'fallback', true)
    }
    const local = claims.filter(({ policy }) => policy.onStoreLoss === 'local')
    return { ...this.#store.decide(local, mode), source: 'fallback', degraded: true }
  }

  observe(): void {}

  refund(claims: readonly Claim[]): void {
    this.#store.refund(claims)
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}
