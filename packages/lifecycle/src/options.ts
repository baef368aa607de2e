import { constants } from 'node:os'
import { type Clock, OptionChecks, systemClock } from '@holdfast/footing'
import { OptionError } from './errors.ts'
import type { ShutdownTimes } from './shutdown.ts'
import type { ProcessPort } from './signals.ts'

/** What a lifecycle reports to; pino fits. */
export interface LifecycleLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  fatal(fields: object, message: string): void
}

/** Options of a `Lifecycle`. Times are milliseconds. */
export interface LifecycleOptions {
  /**
   * Longest time for which a service that was told to end goes on serving, while balancers notice that it is not ready
   * any more. Default 10,000.
   */
  readonly drainMs?: number
  /** Shortest such time: as long as a balancer needs to notice. Default 2000, at most `drainMs`. */
  readonly minDrainMs?: number
  /** Without a request for so long, the hold ends before `drainMs`. Probes do not count. Default 1500. */
  readonly quietMs?: number
  /**
   * For a balancer that does not ask for readiness and learns from failures alone, as nginx does: when requests still come
   * at the end of the hold, a GET or HEAD gets no answer and its connection ends, so that the balancer asks another
   * instance and leaves this one alone, until none comes, for so long at most. Only behind a balancer that asks again by
   * itself, as nginx does by default (`proxy_next_upstream error`). Default 0: never.
   */
  readonly turnAwayMs?: number
  /** Longest time for requests under way after that. Default 10,000. */
  readonly requestTimeoutMs?: number
  /** Time between `abortSignal` and the end of all connections. Default 1000. */
  readonly abortGraceMs?: number
  /** Longest time for the `onClose` hooks of all plugins. Default 5000. */
  readonly closeTimeoutMs?: number
  /** Default time-out of a step of `onDrain` and `onClose`. Default 5000. */
  readonly stepTimeoutMs?: number
  /** Default time-out of a phase of the start. Default 30,000. */
  readonly phaseTimeoutMs?: number
  /** `listen()` waits so long for health to be confirmed, then listens all the same. Default 10,000. */
  readonly healthTimeoutMs?: number
  /** A signal that comes so soon after the one before is the same one. Default 500. */
  readonly repeatMs?: number
  /** The signals that end the service, all alike; `[]` for none. Default `['SIGTERM', 'SIGINT']`. */
  readonly signals?: readonly string[]
  /** Whether an exception that nobody caught ends the service in order, without a hold and with code 1. Default true. */
  readonly exceptions?: boolean
  /** Paths, and `…/*` for all below, whose requests do not keep the service from ending early. Default: those of health, and `/metrics`. */
  readonly probePaths?: readonly string[]
  /** Where to report. Default: the log of the application; what goes wrong is told to standard error while there is none. */
  readonly log?: LifecycleLog
  /** Where time comes from. Default: the machine's. */
  readonly clock?: Clock
  /** The process, for tests. Default: this one. */
  readonly process?: ProcessPort
}

/** The options with every default filled in. */
export interface ResolvedLifecycle {
  readonly times: ShutdownTimes
  readonly stepTimeoutMs: number
  readonly phaseTimeoutMs: number
  readonly healthTimeoutMs: number
  readonly signals: readonly string[]
  readonly exceptions: boolean
  readonly isProbe: (path: string) => boolean
  readonly log: LifecycleLog | undefined
  readonly clock: Clock
  readonly process: ProcessPort
}

const PROBE_PATHS = [
  '/healthz',
  '/livez',
  '/livez/*',
  '/readyz',
  '/readyz/*',
  '/startupz',
  '/startupz/*',
  '/live',
  '/ready',
  '/health',
  '/health/*',
  '/metrics',
]
const MAX_PATHS = 100
/** Of these two nobody is told. */
const UNHEARD = ['SIGKILL', 'SIGSTOP']
const heard = new Set<unknown>(Object.keys(constants.signals).filter((name) => !UNHEARD.includes(name)))

/** Raises `HOLDFAST_ERR_LIFECYCLE_OPTION`. */
export const checks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

/** Fills in the defaults; raises `HOLDFAST_ERR_LIFECYCLE_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: LifecycleOptions): ResolvedLifecycle {
  const drainMs = checks.duration('drainMs', options.drainMs ?? 10_000)
  const signals = options.signals ?? ['SIGTERM', 'SIGINT']
  if (!Array.isArray(signals)) checks.refuse('signals', "a list of signals, such as ['SIGTERM']", signals)
  for (const name of signals) {
    if (!heard.has(name)) checks.refuse('signals', 'signals that a process can hear, such as SIGTERM', name)
  }
  const own = {
    drainMs,
    minDrainMs: checks.duration('minDrainMs', options.minDrainMs ?? Math.min(2000, drainMs), 0, drainMs),
    quietMs: checks.duration('quietMs', options.quietMs ?? 1500),
    turnAwayMs: checks.duration('turnAwayMs', options.turnAwayMs ?? 0),
    requestTimeoutMs: checks.duration('requestTimeoutMs', options.requestTimeoutMs ?? 10_000),
    abortGraceMs: checks.duration('abortGraceMs', options.abortGraceMs ?? 1000),
    closeTimeoutMs: checks.duration('closeTimeoutMs', options.closeTimeoutMs ?? 5000),
    stepTimeoutMs: checks.duration('stepTimeoutMs', options.stepTimeoutMs ?? 5000, 1),
    phaseTimeoutMs: checks.duration('phaseTimeoutMs', options.phaseTimeoutMs ?? 30_000, 1),
    healthTimeoutMs: checks.duration('healthTimeoutMs', options.healthTimeoutMs ?? 10_000),
    repeatMs: checks.duration('repeatMs', options.repeatMs ?? 500),
    signals,
    exceptions: checks.flag('exceptions', options.exceptions ?? true),
    probePaths: options.probePaths ?? PROBE_PATHS,
    log: checks.having('log', options.log, ['info', 'warn', 'error', 'fatal']),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    process: checks.having('process', options.process ?? process, ['on', 'off', 'exit']),
  }
  checks.onlyKnown('', options, Object.keys(own))
  const { drainMs: _, probePaths, ...rest } = own
  return { ...rest, isProbe: matcher(probePaths), times: own }
}

/** Whether a path is one of the list, or below one that ends with `/*`. */
function matcher(paths: readonly string[]): (path: string) => boolean {
  const isPath = (path: unknown) => typeof path === 'string' && path.startsWith('/')
  if (!Array.isArray(paths) || paths.length > MAX_PATHS || !paths.every(isPath)) {
    checks.refuse('probePaths', `a list of at most ${MAX_PATHS} paths that begin with /`, paths)
  }
  const whole = new Set(paths.filter((path) => !path.endsWith('/*')))
  const beginnings = paths.filter((path) => path.endsWith('/*')).map((path) => path.slice(0, -1))
  return (path) => whole.has(path) || beginnings.some((beginning) => path.startsWith(beginning))
}
