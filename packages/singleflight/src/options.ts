import { type Clock, systemClock } from './clock.ts'
import { InvalidOptionError } from './errors.ts'

/** The longest delay a timer of Node.js can hold (24.8 days). */
const LONGEST_TIMER_MS = 2_147_483_647

/** What this package needs of a prom-client `Registry`, so that its types do not need prom-client installed. */
export interface MetricsRegistry {
  registerMetric(metric: never): void
  getSingleMetric(name: string): unknown
}

/** Settings of a `Singleflight`. Every one has a safe default. */
export interface SingleflightOptions {
  /** Flights in the air at once, forgotten and overdue ones included. Default 10,000. */
  readonly maxFlights?: number
  /** Callers that may wait for one flight. Default 10,000. */
  readonly maxWaiters?: number
  /**
   * Milliseconds after which everybody who waits for a flight is rejected. The key stays owned, so that slow
   * work is not started a second time. Default 30,000; `Infinity` for no limit.
   */
  readonly hardTimeoutMs?: number
  /**
   * Milliseconds after which a flight that never settles is given up: its signal aborts and its key is free.
   * At least `hardTimeoutMs`. Default 10 times `hardTimeoutMs`; `Infinity` for no limit.
   */
  readonly maxFlightMs?: number
  /**
   * What happens when the last waiter leaves (its signal aborted or its own time ran out): `'continue'` lets
   * the work finish, `'abort'` frees the key and then aborts the signal of the work. Default `'continue'`.
   */
  readonly whenAbandoned?: 'continue' | 'abort'
  /**
   * Milliseconds for which a failed key answers with its error instead of starting again. At most `maxFlights`
   * errors are remembered. Default 0: off.
   */
  readonly errorTtlMs?: number
  /** Whether every waiter but the first gets its own copy of an error. Default true. */
  readonly copyErrors?: boolean
  /**
   * Gives every waiter but the first its own value, for example `structuredClone`. Default: none, all waiters
   * get the same reference, which nobody may mutate.
   */
  readonly copyValue?: <T>(value: T) => T
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
}

/** What one caller brings along. */
export interface WaiterOptions {
  /** Ends the wait of this caller alone. Already aborted: the call neither starts nor joins a flight. */
  readonly signal?: AbortSignal | undefined
  /**
   * How many milliseconds this caller waits. Default: as long as the flight. 0 or less is a budget already
   * spent: the call neither starts nor joins a flight.
   */
  readonly timeoutMs?: number | undefined
}

/** The options with every default filled in. */
export interface ResolvedOptions extends Required<Omit<SingleflightOptions, 'copyValue'>> {
  readonly copyValue: (<T>(value: T) => T) | undefined
}

/**
 * Fills in the defaults.
 *
 * @throws `HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION` with the option, what it must be and what it was.
 */
export function resolveOptions(options: SingleflightOptions = {}): ResolvedOptions {
  const hardTimeoutMs = duration('hardTimeoutMs', options.hardTimeoutMs ?? 30_000)
  const maxFlightMs = duration('maxFlightMs', options.maxFlightMs ?? longer(hardTimeoutMs))
  if (maxFlightMs < hardTimeoutMs)
    refuse('maxFlightMs', `at least hardTimeoutMs (${hardTimeoutMs})`, maxFlightMs)
  const resolved = {
    maxFlights: count('maxFlights', options.maxFlights ?? 10_000),
    maxWaiters: count('maxWaiters', options.maxWaiters ?? 10_000),
    hardTimeoutMs,
    maxFlightMs,
    whenAbandoned: policy(options.whenAbandoned ?? 'continue'),
    errorTtlMs: nonNegative('errorTtlMs', options.errorTtlMs ?? 0),
    copyErrors: flag('copyErrors', options.copyErrors ?? true),
    copyValue: copier(options.copyValue),
    clock: options.clock ?? systemClock,
  }
  refuseUnknown('', options, Object.keys(resolved))
  return resolved
}

function longer(hardTimeoutMs: number): number {
  if (hardTimeoutMs === Number.POSITIVE_INFINITY) return hardTimeoutMs
  return Math.min(10 * hardTimeoutMs, LONGEST_TIMER_MS)
}

function count(option: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) refuse(option, 'a whole number of at least 1', value)
  return value
}

function duration(option: string, value: number): number {
  if (
    typeof value !== 'number' ||
    !(value > 0) ||
    (value > LONGEST_TIMER_MS && value !== Number.POSITIVE_INFINITY)
  ) {
    refuse(option, `milliseconds above 0 and up to ${LONGEST_TIMER_MS}, or Infinity`, value)
  }
  return value
}

function nonNegative(option: string, value: number): number {
  if (!Number.isFinite(value) || value < 0) refuse(option, 'milliseconds of at least 0', value)
  return value
}

function policy(value: 'continue' | 'abort'): 'continue' | 'abort' {
  if (value !== 'continue' && value !== 'abort') refuse('whenAbandoned', "'continue' or 'abort'", value)
  return value
}

function flag(option: string, value: boolean): boolean {
  if (typeof value !== 'boolean') refuse(option, 'true or false', value)
  return value
}

function copier(value: (<T>(value: T) => T) | undefined): (<T>(value: T) => T) | undefined {
  if (value !== undefined && typeof value !== 'function') refuse('copyValue', 'a function', value)
  return value
}

/** A mistyped name would leave its default in force, unnoticed. `owner` begins the name in the message. */
export function refuseUnknown(owner: string, given: object, accepted: readonly string[]): void {
  for (const [name, value] of Object.entries(given)) {
    if (!accepted.includes(name)) refuse(owner + name, `left out (accepted: ${accepted.join(', ')})`, value)
  }
}

/** Raises the coded error for a refused option. */
export function refuse(option: string, expected: string, received: unknown): never {
  const shown = typeof received === 'string' ? JSON.stringify(received) : String(received)
  throw new InvalidOptionError(option, expected, shown)
}
