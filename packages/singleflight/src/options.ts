import { type Clock, LONGEST_TIMER_MS, OptionChecks, systemClock } from '@holdfast/footing'
import type { RedisGuard } from '@holdfast/redis-guard'
import { InvalidOptionError } from './errors.ts'
import { type FleetCodec, jsonCodec } from './json-codec.ts'
import { isRetryableByStatus } from './remote-failure.ts'

/** How flights across processes fly, unless the call says otherwise. */
export interface FleetOptions {
  /** Processes with the same name share their flights. Put the version of the values into it. Default `'default'`. */
  readonly namespace?: string
  /**
   * Milliseconds for which a leader is believed to live without a sign; renewed every third of it. A crashed leader
   * is replaced after this time. 50 to 3,600,000. Default 1000.
   */
  readonly leaseMs?: number
  /**
   * Milliseconds for which a value is handed to those who come after it landed, or missed the message: so old may an
   * answer be. 50 to 3,600,000. Default 500.
   */
  readonly handoffMs?: number
  /**
   * Milliseconds for which all processes answer with the failure of the last flight instead of starting again; 0
   * tells only those who wait. Up to 3,600,000. Default 500.
   */
  readonly errorTtlMs?: number
  /** Milliseconds from one start of the work to the next, in all processes together. Default 0: no limit. */
  readonly minIntervalMs?: number
  /** Longest encoded value that is shared, in bytes; for a longer one every process works for itself. Default 1 MiB. */
  readonly maxPayloadBytes?: number
  /** How values become bytes and back. Default: JSON that refuses what JSON would lose. */
  readonly codec?: FleetCodec
  /** Whether the same call may succeed later: `retryable` of the error in other processes. Default: by `statusCode`. */
  readonly isRetryable?: (error: unknown) => boolean
}

/** What only a single call can say. */
export interface FleetCallOptions {
  /**
   * A value of an earlier fence is not good enough, nor is a flight that may bring one: a newer one is waited for, or
   * made. Default 0: every value is.
   */
  readonly minFence?: number
  /** Whether to take a value of an earlier fence, where there is one, instead of waiting. Default false. */
  readonly acceptStale?: boolean
}

/** The settings of one call: every one of `FleetOptions` but the namespace, and its own. */
export type FleetCall = FleetFlight & FleetCallOptions
type FleetFlight = Omit<FleetOptions, 'namespace'>

/** As much of a `RedisGuard` as flights across processes need. */
export type FleetRedis = Pick<
  RedisGuard,
  'available' | 'run' | 'key' | 'subscribe' | 'listening' | 'onStateChange'
>

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
  /** A `RedisGuard`, for flights across processes. Default: none, `fleet` flights stay in this process. */
  readonly redis?: FleetRedis | undefined
  /** How flights across processes fly. */
  readonly fleet?: FleetOptions
  /** Chance from 0 to 1, for jitter. Default: `Math.random`. */
  readonly random?: () => number
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
  /**
   * Whether the flight, if this call starts it, is one across all processes; an object changes settings for it.
   * Default false.
   */
  readonly fleet?: boolean | FleetCall | undefined
}

/** The settings of one flight across processes with every default filled in. */
export type ResolvedFleetCall = Required<FleetCall>

/** The options with every default filled in. */
export interface ResolvedOptions
  extends Required<Omit<SingleflightOptions, 'copyValue' | 'redis' | 'fleet'>> {
  readonly copyValue: (<T>(value: T) => T) | undefined
  readonly redis: FleetRedis | undefined
  readonly fleet: ResolvedFleetCall & { readonly namespace: string }
}

export const checks: OptionChecks = new OptionChecks(
  (option, expected, received) => new InvalidOptionError(option, expected, received),
)

/** The longest lease, hand-off or interval: an hour. */
const LONGEST_FLEET_MS = 3_600_000
const SHORTEST_LEASE_MS = 50
/** Well below the 512 MB of a Redis string. */
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024

/**
 * Fills in the defaults.
 *
 * @throws `HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION` with the option, what it must be and what it was.
 */
export function resolveOptions(options: SingleflightOptions = {}): ResolvedOptions {
  const hardTimeoutMs = limit('hardTimeoutMs', options.hardTimeoutMs ?? 30_000)
  const maxFlightMs = limit('maxFlightMs', options.maxFlightMs ?? longer(hardTimeoutMs))
  if (maxFlightMs < hardTimeoutMs)
    refuse('maxFlightMs', `at least hardTimeoutMs (${hardTimeoutMs})`, maxFlightMs)
  const resolved = {
    maxFlights: checks.count('maxFlights', options.maxFlights ?? 10_000),
    maxWaiters: checks.count('maxWaiters', options.maxWaiters ?? 10_000),
    hardTimeoutMs,
    maxFlightMs,
    whenAbandoned: checks.oneOf('whenAbandoned', options.whenAbandoned ?? 'continue', ['continue', 'abort']),
    errorTtlMs: checks.number('errorTtlMs', options.errorTtlMs ?? 0, 0, Number.MAX_SAFE_INTEGER),
    copyErrors: checks.flag('copyErrors', options.copyErrors ?? true),
    copyValue: checks.callable('copyValue', options.copyValue),
    redis: checks.having('redis', options.redis, ['run', 'key', 'subscribe', 'listening', 'onStateChange']),
    fleet: resolveFleet(options.fleet ?? {}),
    random: checks.callable('random', options.random ?? Math.random),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
  }
  refuseUnknown('', options, Object.keys(resolved))
  return resolved
}

function resolveFleet(options: FleetOptions): ResolvedOptions['fleet'] {
  const { namespace = 'default', ...flight } = checks.object('fleet', options)
  const resolved = {
    namespace: checks.text('fleet.namespace', namespace, 100),
    ...resolveFlight(flight, {
      leaseMs: 1000,
      handoffMs: 500,
      errorTtlMs: 500,
      minIntervalMs: 0,
      maxPayloadBytes: 1024 * 1024,
      codec: jsonCodec,
      isRetryable: isRetryableByStatus,
    }),
  }
  refuseUnknown('fleet.', options, Object.keys(resolved))
  return { ...resolved, minFence: 0, acceptStale: false }
}

/** The settings of one call; raises `HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION` for what it says of its own. */
export function resolveFleetCall(given: true | FleetCall, defaults: ResolvedFleetCall): ResolvedFleetCall {
  if (given === true) return defaults
  const options = checks.object('fleet', given)
  const resolved = {
    ...resolveFlight(options, defaults),
    minFence: checks.count('fleet.minFence', options.minFence ?? defaults.minFence, 0),
    acceptStale: checks.flag('fleet.acceptStale', options.acceptStale ?? defaults.acceptStale),
  }
  refuseUnknown('fleet.', options, Object.keys(resolved))
  return resolved
}

function resolveFlight(options: FleetFlight, defaults: Required<FleetFlight>): Required<FleetFlight> {
  // Whole milliseconds: Redis takes no fractions.
  const whole = (option: string, value: number, min: number) =>
    checks.count(`fleet.${option}`, value, min, LONGEST_FLEET_MS)
  return {
    leaseMs: whole('leaseMs', options.leaseMs ?? defaults.leaseMs, SHORTEST_LEASE_MS),
    handoffMs: whole('handoffMs', options.handoffMs ?? defaults.handoffMs, SHORTEST_LEASE_MS),
    errorTtlMs: whole('errorTtlMs', options.errorTtlMs ?? defaults.errorTtlMs, 0),
    minIntervalMs: whole('minIntervalMs', options.minIntervalMs ?? defaults.minIntervalMs, 0),
    maxPayloadBytes: checks.count(
      'fleet.maxPayloadBytes',
      options.maxPayloadBytes ?? defaults.maxPayloadBytes,
      0,
      MAX_PAYLOAD_BYTES,
    ),
    codec: checks.having('fleet.codec', options.codec ?? defaults.codec, ['encode', 'decode']),
    isRetryable: checks.callable('fleet.isRetryable', options.isRetryable ?? defaults.isRetryable),
  }
}

function longer(hardTimeoutMs: number): number {
  if (hardTimeoutMs === Number.POSITIVE_INFINITY) return hardTimeoutMs
  return Math.min(10 * hardTimeoutMs, LONGEST_TIMER_MS)
}

/** Above 0: a flight that must be back at once could never fly. */
function limit(option: string, value: number): number {
  checks.durationOrInfinity(option, value)
  if (value === 0) refuse(option, 'milliseconds above 0', value)
  return value
}

/** A mistyped name would leave its default in force, unnoticed. `owner` begins the name in the message. */
export function refuseUnknown(owner: string, given: object, accepted: readonly string[]): void {
  checks.onlyKnown(owner, given, accepted)
}

/** Raises the coded error for a refused option. */
export function refuse(option: string, expected: string, received: unknown): never {
  checks.refuse(option, expected, received)
}
