import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * How much depends on a piece of work. `critical`: a user's write that must not be lost; only it may use the reserve,
 * and it goes first. `normal`: what a user waits for and could do without. `background`: what nobody waits for.
 */
export type Criticality = 'critical' | 'normal' | 'background'

/** What the door wants to know about whoever comes; a request carries it along, see `currentScope()`. */
export interface PoolScope {
  /** Default `normal`. */
  readonly criticality?: Criticality | undefined
  /** Whose work it is, for fairness while others wait; all work without a tenant shares one place. */
  readonly tenant?: string | undefined
  /** Where it comes from, for the log of a leak: `GET /orders/:id`. */
  readonly route?: string | undefined
  /** Aborts when nobody waits for the work any more. */
  readonly signal?: AbortSignal | undefined
  /** When the work must have ended, on the clock of the pool guard. */
  readonly deadlineMs?: number | undefined
  /**
   * The server refuses whatever changes something (SQLSTATE 25006); a statement outside of a transaction then costs two
   * round trips more. What the scope of a request says nobody takes back. Default false.
   */
  readonly readOnly?: boolean | undefined
}

const storage = new AsyncLocalStorage<PoolScope>()

/** The scope of the running request or `runInScope`, through every `await`; undefined outside of one. */
export function currentScope(): PoolScope | undefined {
  return storage.getStore()
}

/** Runs `work` with a scope that every acquire, query and transaction inside takes its defaults from. */
export function runInScope<T>(scope: PoolScope, work: () => T): T {
  return storage.run(scope, work)
}
