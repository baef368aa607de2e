/** When a pool counts as saturated, and when that counts as pressure. */
export interface PressureLimits {
  /** The share of the connections in use from which on the pool is saturated. */
  readonly saturatedAt: number
  /** How many waiting saturate the pool by themselves. */
  readonly saturatedWaiting: number
  /** How long saturation must last to become pressure, in ms; 0: at once. */
  readonly sustainMs: number
  /** Pressure goes when the share in use stays below this... */
  readonly clearBelow: number
  /** ...for so long, in ms. */
  readonly clearMs: number
}

/** `pressed` is for what may take its time: readiness, metrics, workers, refreshes. */
export type PressureState = 'normal' | 'pressed'

/** A moment without saturation takes back four times its length of what was sustained. */
const LEAK = 4
/** The share in use is smoothed over this time before it is compared with `clearBelow`. */
const SMOOTHING_MS = 100
/** Sums of times are not exact; a timer that fires at the computed moment must find it has come. */
const ROUNDING_MS = 1e-6

/**
 * Two signals from one stream of what a pool does. `saturated` is instant, and for routing one request.
 * `state` is latched: saturation that lasts `sustainMs` trips it, and calm that lasts `clearMs` clears it.
 *
 * Guarantees: uninterrupted saturation trips after exactly `sustainMs`, a shorter burst never does; a pool that is
 * saturated less than four fifths of the time does not trip in the long run, one that is saturated all but for moments
 * does. Calm is judged by the smoothed share in use, so that single peaks do not hold the state for ever.
 *
 * Between two observations nothing changes, so every crossing is computed and no timer samples: `nextChangeMs` says
 * when the state changes if nothing else happens. Pure; costs a few comparisons while the pool is calm.
 */
export class PressureGauge {
  readonly limits: PressureLimits
  state: PressureState = 'normal'
  /** Instant: so many in use or waiting, or the pooler says so. */
  saturated = false
  /** Since when `state` is what it is. */
  changedMs: number
  /** How often `state` changed. */
  transitions = 0
  #atMs: number
  #usage = 0
  #external = false
  #sustainedMs = 0
  #smoothed = 0
  #calmSinceMs: number | undefined

  constructor(nowMs: number, limits: PressureLimits) {
    this.limits = limits
    this.#atMs = nowMs
    this.changedMs = nowMs
  }

  /** When the state changes, unless something is observed before; `Infinity`: it stays. */
  get nextChangeMs(): number {
    const { sustainMs, clearMs } = this.limits
    if (this.state === 'normal') {
      return this.saturated ? this.#atMs + sustainMs - this.#sustainedMs : Number.POSITIVE_INFINITY
    }
    const clearsMs = (this.#calmSinceMs ?? this.#calmBeginsMs()) + clearMs
    return clearsMs <= this.#calmEndsMs() ? clearsMs : Number.POSITIVE_INFINITY
  }

  /**
   * Notes what the pool does from `nowMs` on. `usage` is the share of `max` in use, above 1 with overflow; `external` is
   * what the pooler behind says. Answers whether the state changed.
   */
  observe(nowMs: number, usage: number, waiting: number, external: boolean): boolean {
    const { saturatedAt, saturatedWaiting } = this.limits
    const saturated = external || usage >= saturatedAt || waiting >= saturatedWaiting
    if (this.state === 'normal' && !saturated && this.#sustainedMs === 0 && !this.saturated) {
      // The usual case, at every query.
      this.#atMs = nowMs
      this.#usage = usage
      return false
    }
    const before = this.transitions
    this.#passTime(nowMs)
    this.#usage = usage
    this.#external = external
    this.saturated = saturated
    if (this.state === 'normal') this.#tripWhenDue(nowMs)
    else if (external) this.#calmSinceMs = undefined
    return this.transitions !== before
  }

  /** Lets time pass without a change; answers whether the state changed. To be called at `nextChangeMs`. */
  tick(nowMs: number): boolean {
    if (this.state === 'normal' && this.#sustainedMs === 0 && !this.saturated) return false
    const before = this.transitions
    this.#passTime(nowMs)
    if (this.state === 'normal') this.#tripWhenDue(nowMs)
    return this.transitions !== before
  }

  #passTime(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs)
    if (this.state === 'normal') {
      this.#sustainedMs = this.saturated
        ? this.#sustainedMs + passedMs
        : Math.max(0, this.#sustainedMs - LEAK * passedMs)
    } else {
      const calmSinceMs = this.#calmSinceMs ?? this.#calmBeginsMs()
      const calmUntilMs = Math.min(nowMs, this.#calmEndsMs())
      if (calmUntilMs - calmSinceMs >= this.limits.clearMs - ROUNDING_MS) this.#change('normal', nowMs)
      else this.#calmSinceMs = calmSinceMs <= nowMs && calmUntilMs === nowMs ? calmSinceMs : undefined
      this.#smoothed = this.#usage + (this.#smoothed - this.#usage) * Math.exp(-passedMs / SMOOTHING_MS)
    }
    this.#atMs = nowMs
  }

  #tripWhenDue(nowMs: number): void {
    if (!this.saturated || this.#sustainedMs < this.limits.sustainMs - ROUNDING_MS) return
    this.#change('pressed', nowMs)
    this.#smoothed = Math.max(this.#usage, this.limits.clearBelow)
    this.#calmSinceMs = undefined
  }

  /** When the smoothed share falls below `clearBelow`, if the share in use stays what it is. */
  #calmBeginsMs(): number {
    if (this.#external) return Number.POSITIVE_INFINITY
    if (this.#smoothed < this.limits.clearBelow) return this.#atMs
    return this.#usage < this.limits.clearBelow ? this.#crossingMs() : Number.POSITIVE_INFINITY
  }

  /** When it rises to `clearBelow` again, if the share in use stays what it is. */
  #calmEndsMs(): number {
    return this.#usage > this.limits.clearBelow && this.#smoothed < this.limits.clearBelow
      ? this.#crossingMs()
      : Number.POSITIVE_INFINITY
  }

  #crossingMs(): number {
    const { clearBelow } = this.limits
    return this.#atMs + SMOOTHING_MS * Math.log((this.#smoothed - this.#usage) / (clearBelow - this.#usage))
  }

  #change(state: PressureState, nowMs: number): void {
    this.state = state
    this.changedMs = nowMs
    this.transitions += 1
    this.#sustainedMs = 0
    this.#calmSinceMs = undefined
  }
}
