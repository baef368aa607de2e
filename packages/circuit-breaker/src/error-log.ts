import { type Clock, systemClock } from '@holdfast/footing'
import { checks } from './options.ts'

/** Settings of an `ErrorLog`. */
export interface ErrorLogOptions {
  /** Services with a log of their own; what comes then is counted under `other`. Default 100. */
  readonly maxServices?: number
  /** Kinds of errors told apart in each service; what comes then is counted under `other`. Default 50. */
  readonly maxKinds?: number
  /** The last errors of each service that are kept with their message. Default 20; 0 keeps none. */
  readonly maxRecent?: number
  /** Milliseconds of the past that `inWindow` and `trend` look at. Default 600,000: 10 minutes. */
  readonly windowMs?: number
  /**
   * What an error is called and what is kept of its text. Default: its `code`, else its `name`, and its message.
   * Both are cut, to 64 and to 200 characters.
   */
  readonly describe?: (error: unknown) => { readonly kind: string; readonly message: string }
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
}

/**
 * `rising`, `falling`: the newer half of the window has more, or fewer, errors than the older one, by more than
 * chance explains. `steady`: neither. `quiet`: no error in the window.
 */
export type ErrorTrend = 'rising' | 'falling' | 'steady' | 'quiet'

/** One error that happened. */
export interface RecordedError {
  readonly kind: string
  readonly message: string
  /** Milliseconds since the Unix epoch. */
  readonly wallMs: number
}

/** What went wrong with one service. */
export interface ErrorSummary {
  readonly service: string
  /** Since the start. */
  readonly total: number
  readonly inWindow: number
  readonly trend: ErrorTrend
  /** Counts since the start, the most frequent first. */
  readonly kinds: readonly { readonly kind: string; readonly total: number }[]
  /** The newest first. */
  readonly recent: readonly RecordedError[]
}

const OTHER = 'other'
const MAX_KIND_LENGTH = 64
const MAX_MESSAGE_LENGTH = 200
/** Slices of the window; an even number, because the trend compares halves. */
const SLICES = 20
/** Standard deviations that the difference of two random counts must exceed to be called a trend. */
const SIGNIFICANT = 2

interface ServiceLog {
  total: number
  readonly kinds: Map<string, number>
  readonly recent: RecordedError[]
  readonly slices: number[]
  /** The number of the slice that was written last. */
  slice: number
}

/**
 * Counts what goes wrong, by service and by kind, and keeps the last errors. Everything is bounded: services,
 * kinds, errors, and the length of what is kept of them; an error costs the same however many there were.
 *
 * Messages may hold what only operators should read: show them to nobody else.
 */
export class ErrorLog {
  readonly #services = new Map<string, ServiceLog>()
  readonly #maxServices: number
  readonly #maxKinds: number
  readonly #maxRecent: number
  readonly #sliceMs: number
  readonly #describe: (error: unknown) => { readonly kind: string; readonly message: string }
  readonly #clock: Clock

  /** @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` */
  constructor(options: ErrorLogOptions = {}) {
    const known = ['maxServices', 'maxKinds', 'maxRecent', 'windowMs', 'describe', 'clock']
    checks.onlyKnown('', checks.object('options', options), known)
    this.#maxServices = checks.count('maxServices', options.maxServices ?? 100)
    this.#maxKinds = checks.count('maxKinds', options.maxKinds ?? 50)
    this.#maxRecent = checks.count('maxRecent', options.maxRecent ?? 20, 0, 1000)
    this.#sliceMs = checks.duration('windowMs', options.windowMs ?? 600_000, SLICES) / SLICES
    this.#describe = checks.callable('describe', options.describe) ?? describe
    this.#clock = checks.having('clock', options.clock, ['nowMs', 'wallMs']) ?? systemClock
  }

  /** Adds an error, or whatever was thrown. Never throws itself: an error that nobody can describe is `unknown`. */
  record(service: string, error: unknown): void {
    const log = this.#logOf(service)
    const { kind, message } = this.#described(error)
    log.total += 1
    const shortKind = kind.slice(0, MAX_KIND_LENGTH)
    const counted = log.kinds.has(shortKind) || log.kinds.size < this.#maxKinds ? shortKind : OTHER
    log.kinds.set(counted, (log.kinds.get(counted) ?? 0) + 1)
    this.#turnTo(log, this.#sliceNow())
    const index = log.slice % SLICES
    log.slices[index] = (log.slices[index] ?? 0) + 1
    if (this.#maxRecent === 0) return
    if (log.recent.length === this.#maxRecent) log.recent.shift()
    const wallMs = this.#clock.wallMs()
    log.recent.push({ kind: shortKind, message: message.slice(0, MAX_MESSAGE_LENGTH), wallMs })
  }

  /** What went wrong with one service; `undefined` when nothing did. */
  summary(service: string): ErrorSummary | undefined {
    const log = this.#services.get(service)
    if (log === undefined) return undefined
    this.#turnTo(log, this.#sliceNow())
    const newer = this.#countOf(log, 0)
    const older = this.#countOf(log, SLICES / 2)
    return {
      service,
      total: log.total,
      inWindow: newer + older,
      trend: trendOf(older, newer),
      kinds: [...log.kinds]
        .map(([kind, total]) => ({ kind, total }))
        .sort((left, right) => right.total - left.total),
      recent: log.recent.toReversed(),
    }
  }

  /** The summaries of all services, in the order in which they first failed. */
  snapshot(): readonly ErrorSummary[] {
    return [...this.#services.keys()].flatMap((service) => this.summary(service) ?? [])
  }

  #described(error: unknown): { readonly kind: string; readonly message: string } {
    try {
      const { kind, message } = this.#describe(error)
      return { kind: String(kind), message: String(message) }
    } catch {
      return { kind: 'unknown', message: '' }
    }
  }

  #logOf(service: string): ServiceLog {
    const known = this.#services.get(service)
    if (known !== undefined) return known
    // `other` itself comes on top of the maximum, as the last one.
    if (this.#services.size >= this.#maxServices && service !== OTHER) return this.#logOf(OTHER)
    const log: ServiceLog = {
      total: 0,
      kinds: new Map(),
      recent: [],
      slices: new Array<number>(SLICES).fill(0),
      slice: this.#sliceNow(),
    }
    this.#services.set(service, log)
    return log
  }

  #sliceNow(): number {
    return Math.floor(this.#clock.nowMs() / this.#sliceMs)
  }

  /** Empties the slices that time has passed over. */
  #turnTo(log: ServiceLog, slice: number): void {
    const passed = Math.min(slice - log.slice, SLICES)
    for (let step = 1; step <= passed; step += 1) log.slices[(log.slice + step) % SLICES] = 0
    log.slice = slice
  }

  /** Errors in the half of the window that ends `age` slices ago. */
  #countOf(log: ServiceLog, age: number): number {
    let count = 0
    for (let step = age; step < age + SLICES / 2; step += 1) {
      count += log.slices[(log.slice - step + SLICES) % SLICES] ?? 0
    }
    return count
  }
}

/** Compares two counts of random events: their difference spreads like the square root of their sum. */
function trendOf(older: number, newer: number): ErrorTrend {
  if (older + newer === 0) return 'quiet'
  const deviations = (newer - older) / Math.sqrt(older + newer)
  if (deviations > SIGNIFICANT) return 'rising'
  return deviations < -SIGNIFICANT ? 'falling' : 'steady'
}

function describe(error: unknown): { kind: string; message: string } {
  if (typeof error !== 'object' || error === null) return { kind: typeof error, message: String(error) }
  const { code, name, message } = error as Readonly<Record<string, unknown>>
  const kind = [code, name].find((word) => typeof word === 'string' && word !== '')
  return {
    kind: typeof kind === 'string' ? kind : 'object',
    message: typeof message === 'string' ? message : '',
  }
}
