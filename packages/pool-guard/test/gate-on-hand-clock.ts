import { HandClock } from '@holdfast/test-kit'
import type { CheckoutOptions } from '../src/connections.ts'
import { Gate } from '../src/gate.ts'
import type { GuardedClient, PoolGuardOptions } from '../src/index.ts'
import { resolveOptions } from '../src/options.ts'

/** A client as the gate sees it: it only ever looks at its release. */
export type Lent = GuardedClient & { end(outcome: 'success' | 'failure' | 'ignored'): void }

/** A gate over connections that the test lends by hand, on a clock that the test moves. */
export function gateOnHandClock(options: PoolGuardOptions = {}) {
  const clock = new HandClock({ nowMs: 1000 })
  const seen = {
    clock,
    /** What `checkout` does instead of lending, when set. */
    refuse: undefined as Error | undefined,
    checkouts: [] as CheckoutOptions[],
    log: [] as string[],
    /** How the database answers a probe. */
    answer: () => Promise.resolve() as Promise<unknown>,
    probes: 0,
  }
  const keep = (_fields: object, message: string) => void seen.log.push(message)
  const { admission } = resolveOptions({ ...options, clock, random: () => 0 })
  const gate = new Gate(admission, {
    connections: {
      async checkout(options) {
        if (seen.refuse !== undefined) throw seen.refuse
        seen.checkouts.push(options)
        const end = (outcome: 'success' | 'failure' | 'ignored') => options.onRelease?.(outcome)
        return { end, release: () => end('success') } as unknown as Lent
      },
    },
    ask: () => {
      seen.probes += 1
      return seen.answer()
    },
    log: { info: keep, warn: keep },
  })
  const acquire = (scope?: Parameters<Gate['acquire']>[0]) => gate.acquire(scope) as Promise<Lent>
  const fill = (count: number, criticality: 'critical' | 'normal' | 'background' = 'normal') =>
    Promise.all(Array.from({ length: count }, () => acquire({ criticality })))
  return Object.assign(seen, { gate, acquire, fill })
}

/** The code of the error that a promise rejects with, or `granted`. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'granted',
    (error: { code?: string }) => String(error.code).replace('HOLDFAST_ERR_POOL_GUARD_', ''),
  )
}
