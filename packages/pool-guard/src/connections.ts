import type { GuardedClient } from './guarded-client.ts'

/** What a finished checkout says about the database, for the breaker. */
export type LeaseOutcome = 'success' | 'failure' | 'ignored'

/** What `PoolGuard` hands to the connections behind it with every grant. */
export interface CheckoutOptions {
  readonly signal?: AbortSignal | undefined
  readonly deadlineMs?: number | undefined
  readonly route?: string | undefined
  readonly tenant?: string | undefined
  /**
   * Called exactly once, when the client is not in use any more and may be handed on or is gone: only then the slot is
   * free. `failure`: the infrastructure failed it (see `classifyError`); `success`: something was answered, and be it
   * an error of the statement; `ignored`: nothing was learnt. Not called when `checkout` rejects.
   */
  readonly onRelease?: (outcome: LeaseOutcome) => void
}

/** What `PoolGuard` needs of the connections behind it; `ConnectionPool` is it. */
export interface Connections {
  checkout(options: CheckoutOptions): Promise<GuardedClient>
  readonly counts: {
    readonly total: number
    readonly idle: number
    readonly inUse: number
    readonly connecting: number
    readonly max: number
  }
  end(options?: { readonly graceMs?: number }): Promise<void>
}
