import { type Clock, OptionChecks, systemClock } from '@holdfast/footing'
import { OptionError } from './errors.ts'
import type { LeaseStore } from './store.ts'

/** What holds for one operation; every one of them may be set for all, for a route and for a call. */
export interface OperationOptions {
  /**
   * Milliseconds for which a holder is believed to live without a sign; renewed every third of it. A process that was
   * killed blocks its keys for so long. 100 to 3,600,000. Default 10,000.
   */
  readonly leaseMs?: number
  /**
   * What happens while Redis is lost: `'local'` goes on with one operation at a time in each process, without a
   * fence; `'closed'` refuses. Default `'local'`.
   */
  readonly onStoreLoss?: 'local' | 'closed'
  /** Callers that may wait for one key in this process; 0 refuses at once. Up to 1000. Default 0. */
  readonly maxWaiting?: number
  /** Milliseconds a caller waits for its turn, with `maxWaiting` above 0. Default 5000. */
  readonly maxWaitMs?: number
  /**
   * Milliseconds after which an operation is answered with an error and its signal aborts. Default 30,000;
   * `Infinity` for no limit.
   */
  readonly timeoutMs?: number
  /**
   * Milliseconds after the time-out for which the key stays with work that has not stopped; then the next operation
   * may begin, and only the fence stands between the two. Default 5000; `Infinity` for ever.
   */
  readonly graceMs?: number
  /** What a refused caller is told: when to come back, in ms. Default 30,000. */
  readonly retryAfterMs?: number
  /** What a refused caller is told. Default: that another operation is in progress. */
  readonly message?: string
}

/** Options of a `ConcurrencyGuard`. */
export interface ConcurrencyGuardOptions extends OperationOptions {
  /** `app.redisGuard`: one operation at a time in all processes. Default: none, each process for itself. */
  readonly redis?: LeaseStore | undefined
  /**
   * Milliseconds after which a caller that may wait asks Redis again while another process is at work, varied by half
   * to one and a half times. Only the first of a line asks. Default 50.
   */
  readonly pollMs?: number
  /** Operations under way and waiting in this process, all keys together. Default 10,000. */
  readonly maxOperations?: number
  /** Milliseconds that `close()` waits for operations to end and their leases to be given back. Default 5000. */
  readonly closeTimeoutMs?: number
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
  /** Numbers in [0, 1) that spread the questions to Redis. Default: `Math.random`. */
  readonly random?: () => number
}

/** What one call may bring along. */
export interface CallOptions extends OperationOptions {
  /** Ends the wait of the caller, and aborts the signal of its operation. */
  readonly signal?: AbortSignal | undefined
}

/** The terms of one operation with every default filled in. */
export type Terms = Required<OperationOptions>

/** The options with every default filled in. */
export interface ResolvedOptions extends Required<Omit<ConcurrencyGuardOptions, 'redis' | keyof Terms>> {
  readonly redis: LeaseStore | undefined
  readonly terms: Terms
}

/** Refuses wrong options with `HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION`. */
export const checks: OptionChecks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

const LONGEST_LEASE_MS = 3_600_000
const SHORTEST_LEASE_MS = 100
const LONGEST_LINE = 1000
const LONGEST_MESSAGE = 1000

/** The terms when nobody says anything. */
export const defaultTerms: Terms = {
  leaseMs: 10_000,
  onStoreLoss: 'local',
  maxWaiting: 0,
  maxWaitMs: 5000,
  timeoutMs: 30_000,
  graceMs: 5000,
  retryAfterMs: 30_000,
  message: 'Another operation is in progress. Please try again later.',
}

/** The names of `OperationOptions`. */
export const termNames: readonly string[] = Object.keys(defaultTerms)

/** Raises `HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION`; `owner` begins the name in its message. */
export function resolveTerms(owner: string, given: OperationOptions, defaults: Terms): Terms {
  const leaseMs = given.leaseMs ?? defaults.leaseMs
  const onStoreLoss = given.onStoreLoss ?? defaults.onStoreLoss
  const maxWaiting = given.maxWaiting ?? defaults.maxWaiting
  return {
    leaseMs: checks.count(`${owner}leaseMs`, leaseMs, SHORTEST_LEASE_MS, LONGEST_LEASE_MS),
    onStoreLoss: checks.oneOf(`${owner}onStoreLoss`, onStoreLoss, ['local', 'closed']),
    maxWaiting: checks.count(`${owner}maxWaiting`, maxWaiting, 0, LONGEST_LINE),
    maxWaitMs: checks.duration(`${owner}maxWaitMs`, given.maxWaitMs ?? defaults.maxWaitMs),
    timeoutMs: checks.durationOrInfinity(`${owner}timeoutMs`, given.timeoutMs ?? defaults.timeoutMs, 1),
    graceMs: checks.durationOrInfinity(`${owner}graceMs`, given.graceMs ?? defaults.graceMs),
    retryAfterMs: checks.duration(`${owner}retryAfterMs`, given.retryAfterMs ?? defaults.retryAfterMs),
    message: checks.text(`${owner}message`, given.message ?? defaults.message, LONGEST_MESSAGE),
  }
}

/** Fills in the defaults; raises `HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: ConcurrencyGuardOptions = {}): ResolvedOptions {
  checks.object('options', options)
  const { redis } = options
  if (redis !== undefined) {
    checks.having('redis', checks.object('redis', redis), ['onStateChange'])
    checks.having('redis.lease', checks.object('redis.lease', redis.lease), ['acquire'])
  }
  const own = {
    pollMs: checks.duration('pollMs', options.pollMs ?? 50, 1),
    maxOperations: checks.count('maxOperations', options.maxOperations ?? 10_000),
    closeTimeoutMs: checks.duration('closeTimeoutMs', options.closeTimeoutMs ?? 5000),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    random: checks.callable('random', options.random ?? Math.random),
  }
  checks.onlyKnown('', options, [...termNames, 'redis', ...Object.keys(own)])
  return { ...own, redis, terms: resolveTerms('', options, defaultTerms) }
}
