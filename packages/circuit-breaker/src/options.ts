import { type Clock, LONGEST_TIMER_MS, OptionChecks, systemClock } from '@holdfast/footing'
import type { ExportedState } from './breaker.ts'
import { classifyError } from './classification.ts'
import { InvalidOptionError } from './errors.ts'
import type { Transition } from './events.ts'
import type { Outcome } from './outcome.ts'

/** Settings of a `CircuitBreaker`. Every one has a safe default. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open the breaker. Default 5; `Infinity` for never. */
  readonly failureThreshold?: number
  /** Share of failed calls in the window, above 0 up to 1, that opens it. Default 0.5; `Infinity` for never. */
  readonly failureRate?: number
  /** Milliseconds from which on a call is slow. Default `Infinity`: no call is. */
  readonly slowCallMs?: number
  /** Share of slow calls in the window, above 0 up to 1, that opens it. Default 0.5; `Infinity` for never. */
  readonly slowCallRate?: number
  /** Milliseconds the two shares look back. Default 10,000. */
  readonly windowMs?: number
  /** Calls in the window from which on the two shares are looked at. Default 20. */
  readonly minimumCalls?: number
  /** Milliseconds it stays open before it probes, the first time. Default 60,000. */
  readonly openMs?: number
  /** By how much the open time grows each time a probe fails, or calls fail during the ramp. Default 2. */
  readonly openGrowth?: number
  /** Longest open time, in ms. Default 5 times `openMs`. */
  readonly maxOpenMs?: number
  /** Share by which every open time but the first is shortened at random. Default 0.1. */
  readonly openJitter?: number
  /** Probes let through when the open time is over; that many must succeed, one failure opens it again. Default 1. */
  readonly probes?: number
  /** Milliseconds after which a probe without a result loses its place to another call. Default 10,000. */
  readonly probeLeaseMs?: number
  /** Who probes: the next `'calls'`, or the owner alone, through `tryAcquireProbe()` (`'manual'`). Default `'calls'`. */
  readonly probing?: 'calls' | 'manual'
  /** Milliseconds after closing during which only a growing share of simultaneous calls passes. Default 5,000. */
  readonly rampMs?: number
  /** The share with which the ramp begins, from 0 to 1; one call at a time always passes. Default 0.1. */
  readonly rampFrom?: number
  /** Milliseconds after which a call is answered with `TIMEOUT`. Default `Infinity`: no limit, and no timer. */
  readonly timeoutMs?: number
  /** Metrics only: everything is counted and decided, but no call is refused. Default false. */
  readonly shadow?: boolean
  /** What an error of a call says about the dependency. Default: `classifyError`. */
  readonly classifyError?: (error: unknown) => Outcome
  /** What a value says about the dependency, for example a response with status 503. Default: success. */
  readonly classifyValue?: (value: unknown) => Outcome
  /** Told about every change of state; what it throws becomes a process warning. */
  readonly onTransition?: (transition: Transition) => void
  /** What `exportState()` gave, here or in a process before. Default: closed. */
  readonly initialState?: ExportedState
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
  /** Numbers in [0, 1) for the jitter and the ramp. Default `Math.random`. */
  readonly random?: () => number
}

/** The options with every default filled in. */
export interface ResolvedOptions
  extends Required<Omit<CircuitBreakerOptions, 'classifyValue' | 'onTransition' | 'initialState'>> {
  readonly classifyValue: ((value: unknown) => Outcome) | undefined
  readonly onTransition: ((transition: Transition) => void) | undefined
  readonly initialState: ExportedState | undefined
}

/** Where chance comes from when nobody says. */
export const defaultRandom: () => number = Math.random

/** Refuses wrong options of this package with `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION`. */
export const checks = new OptionChecks((...details) => new InvalidOptionError(...details))

/**
 * Fills in the defaults.
 *
 * @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` with the option, what it must be and what it was.
 */
export function resolveOptions(options: CircuitBreakerOptions = {}): ResolvedOptions {
  checks.object('options', options)
  const openMs = checks.duration('openMs', options.openMs ?? 60_000, 1)
  const resolved: ResolvedOptions = {
    failureThreshold: countOrInfinity('failureThreshold', options.failureThreshold ?? 5),
    failureRate: rate('failureRate', options.failureRate ?? 0.5),
    slowCallMs: checks.durationOrInfinity('slowCallMs', options.slowCallMs ?? Number.POSITIVE_INFINITY),
    slowCallRate: rate('slowCallRate', options.slowCallRate ?? 0.5),
    windowMs: checks.duration('windowMs', options.windowMs ?? 10_000, 1),
    minimumCalls: checks.count('minimumCalls', options.minimumCalls ?? 20),
    openMs,
    openGrowth: checks.number('openGrowth', options.openGrowth ?? 2, 1, 100),
    maxOpenMs: checks.duration(
      'maxOpenMs',
      options.maxOpenMs ?? Math.min(5 * openMs, LONGEST_TIMER_MS),
      openMs,
    ),
    openJitter: checks.number('openJitter', options.openJitter ?? 0.1, 0, 1),
    probes: checks.count('probes', options.probes ?? 1, 1, 1000),
    probeLeaseMs: checks.duration('probeLeaseMs', options.probeLeaseMs ?? 10_000, 1),
    probing: checks.oneOf('probing', options.probing ?? 'calls', ['calls', 'manual']),
    rampMs: checks.duration('rampMs', options.rampMs ?? 5_000),
    rampFrom: checks.number('rampFrom', options.rampFrom ?? 0.1, 0, 1),
    timeoutMs: checks.durationOrInfinity('timeoutMs', options.timeoutMs ?? Number.POSITIVE_INFINITY, 1),
    shadow: checks.flag('shadow', options.shadow ?? false),
    classifyError: checks.callable('classifyError', options.classifyError ?? classifyError),
    classifyValue: checks.callable('classifyValue', options.classifyValue),
    onTransition: checks.callable('onTransition', options.onTransition),
    initialState: checkedState(options.initialState),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    random: checks.callable('random', options.random ?? Math.random),
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  return resolved
}

/** What any one call may bring along. */
interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
  readonly deadlineMs?: number | undefined
  readonly fallback?: ((reason: unknown) => unknown) | undefined
}

/**
 * Refuses what one call cannot work with, before it is counted: a mistake of the caller says nothing about the
 * dependency. Made for hot paths: it builds nothing while all is well. Times may be spent already (0, negative).
 */
export function checkCall(options: CallOptions, accepted: readonly string[]): void {
  for (const name in options) {
    if (!isOneOf(accepted, name)) checks.onlyKnown('', options, accepted)
  }
  const { signal, timeoutMs, deadlineMs, fallback } = options
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    checks.refuse('signal', 'an AbortSignal', signal)
  }
  if (timeoutMs !== undefined) aTime('timeoutMs', timeoutMs)
  if (deadlineMs !== undefined) aTime('deadlineMs', deadlineMs)
  checks.callable('fallback', fallback)
}

/** As `includes`, which takes longer for a few names. */
function isOneOf(names: readonly string[], name: string): boolean {
  for (const known of names) if (known === name) return true
  return false
}

function aTime(option: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    checks.refuse(option, 'a number of milliseconds', value)
  }
}

function countOrInfinity(option: string, value: number): number {
  if (value === Number.POSITIVE_INFINITY) return value
  return checks.count(option, value)
}

function rate(option: string, value: number): number {
  if (value === Number.POSITIVE_INFINITY) return value
  if (typeof value !== 'number' || !(value > 0 && value <= 1)) {
    checks.refuse(option, 'a number above 0 and up to 1, or Infinity', value)
  }
  return value
}

/** An exported state has been outside of the process: nothing in it is taken on trust. */
function checkedState(given: ExportedState | undefined): ExportedState | undefined {
  if (given === undefined) return undefined
  const option = 'initialState'
  const state = checks.object(option, given)
  checks.oneOf(`${option}.state`, state.state, ['closed', 'open', 'half-open'])
  checks.number(`${option}.exportedWallMs`, state.exportedWallMs, 0, Number.MAX_SAFE_INTEGER)
  checks.duration(`${option}.remainingOpenMs`, state.remainingOpenMs)
  checks.duration(`${option}.remainingRampMs`, state.remainingRampMs)
  checks.count(`${option}.openings`, state.openings, 0)
  checks.count(`${option}.consecutiveFailures`, state.consecutiveFailures, 0)
  if (typeof state.reason !== 'string') checks.refuse(`${option}.reason`, 'a text', state.reason)
  checks.duration(`${option}.windowMs`, state.windowMs)
  if (!Array.isArray(state.window)) checks.refuse(`${option}.window`, 'an array', state.window)
  for (const slice of state.window) {
    if (
      !Array.isArray(slice) ||
      slice.length !== 3 ||
      slice.some((count) => !(Number.isSafeInteger(count) && count >= 0))
    ) {
      checks.refuse(`${option}.window`, 'a list of three counts each', slice)
    }
  }
  return state
}
