/*
 * The state machine of a circuit breaker: who may call, and what the results mean.
 *
 * Pure: time comes as `nowMs` (monotonic), chance from `random`; no timer, no promise. Every operation is O(1).
 * A permit carries the epoch it was given in, and each change of state begins a new one: a result from before
 * neither counts, nor closes, nor opens. Only executed calls are counted. In `half-open` a fixed number of probes
 * runs and everybody else is refused; a probe without a result loses its place after its lease. After closing, a
 * ramp lets one call at a time and a growing share of the rest through.
 *
 * Holds and isolations lie over it: while there is one, the state is `open` whatever the results are.
 */
import type { RefusalReason } from './errors.ts'
import type { BreakerState, TransitionCause } from './events.ts'
import type { ResolvedOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { Permit, SETTLED, UNJUDGED } from './permit.ts'
import { Probes } from './probes.ts'
import { RollingWindow } from './rolling-window.ts'

/** What the state machine needs of the options. */
export type BreakerRules = Omit<
  ResolvedOptions,
  'timeoutMs' | 'classifyError' | 'classifyValue' | 'onTransition' | 'initialState' | 'clock'
>

/** Told after the machine has changed its state. */
export type OnChange = (
  from: BreakerState,
  to: BreakerState,
  cause: TransitionCause,
  reason: string,
  nowMs: number,
) => void

/** A breaker as plain data that another process, with another monotonic clock, can take up. */
export interface ExportedState {
  readonly state: BreakerState
  readonly exportedWallMs: number
  readonly remainingOpenMs: number
  readonly remainingRampMs: number
  /** Openings since it was last well: the exponent of the open time. */
  readonly openings: number
  readonly consecutiveFailures: number
  /** Why it opened last; empty when it never did. */
  readonly reason: string
  readonly windowMs: number
  /** Calls, failures and slow calls per slice of the window, oldest first. */
  readonly window: readonly (readonly [calls: number, failures: number, slow: number])[]
}

/** Slices of the window. */
const BUCKETS = 10

/** Counted over the life of a breaker. */
export interface BreakerCounts {
  succeeded: number
  failed: number
  /** Calls that say nothing: never reached the dependency, or the caller left before. */
  ignored: number
  slow: number
  /** Results that came in a later epoch and changed nothing; counted under their outcome, too. */
  stale: number
  /** Calls let through that would have been refused (`shadow`, `disable()`). */
  unjudged: number
  /** Probes that lost their place because their lease was over. */
  probesLost: number
  readonly refused: Record<RefusalReason, number>
  readonly transitions: Record<BreakerState, number>
}

export class Breaker {
  readonly counts: BreakerCounts = {
    succeeded: 0,
    failed: 0,
    ignored: 0,
    slow: 0,
    stale: 0,
    unjudged: 0,
    probesLost: 0,
    refused: { open: 0, probing: 0, ramp: 0, held: 0, isolated: 0 },
    transitions: { closed: 0, open: 0, 'half-open': 0 },
  }
  /** Why the last call was refused. */
  lastRefusal: RefusalReason = 'open'
  /** Why it opened last. */
  reason = ''
  consecutiveFailures = 0
  openings = 0
  /** Permits of this epoch that are not settled. */
  inFlight = 0
  /** The state as of the last operation; `stateAt` knows whether the open time is over. */
  state: BreakerState = 'closed'
  changedAtMs: number
  /** Whether `acquire`, and `settle` of a success, look at the time now: a clock costs more than all they do. */
  acquireNeedsTime = true
  successNeedsTime = true
  readonly #rules: BreakerRules
  readonly #onChange: OnChange
  readonly #window: RollingWindow
  readonly #windowed: boolean
  readonly #probes: Probes
  #epoch = 0
  #openUntilMs = 0
  #rampEndMs = 0
  #holds = 0
  #isolations = 0
  #shadows: number

  constructor(rules: BreakerRules, nowMs: number, onChange: OnChange) {
    this.#rules = rules
    this.#onChange = onChange
    this.#window = new RollingWindow(rules.windowMs, BUCKETS, nowMs)
    this.#probes = new Probes(rules.probes, rules.probeLeaseMs)
    this.#windowed = rules.failureRate <= 1 || (rules.slowCallRate <= 1 && rules.slowCallMs < Infinity)
    this.#shadows = rules.shadow ? 1 : 0
    this.changedAtMs = nowMs
    this.#planTime()
  }

  /** The right to call, or undefined; `lastRefusal` then says why. */
  acquire(nowMs: number): Permit | undefined {
    if (this.state !== 'closed') return this.#acquireAway(nowMs, this.#rules.probing === 'manual')
    if (this.#rampEndMs !== 0 && !this.#passesRamp(nowMs)) return this.#refuse('ramp', nowMs)
    this.inFlight += 1
    return new Permit(this.#epoch, nowMs, false)
  }

  /** The right to probe, for the owner of a breaker whose calls do not (`probing: 'manual'`). */
  acquireProbe(nowMs: number): Permit | undefined {
    return this.state === 'closed' ? this.acquire(nowMs) : this.#acquireAway(nowMs, false)
  }

  /** Counts the result of a call. A second settling, and results of an earlier epoch, change no state. */
  settle(permit: Permit, outcome: Outcome, nowMs: number): void {
    const { epoch } = permit
    if (epoch === SETTLED) return
    permit.epoch = SETTLED
    const slow = outcome !== 'ignored' && nowMs - permit.startedAtMs >= this.#rules.slowCallMs
    this.#count(outcome, slow)
    if (epoch === this.#epoch) {
      this.inFlight -= 1
      if (this.state === 'closed') this.#judge(outcome, slow, nowMs)
      else this.#judgeProbe(permit, outcome, slow, nowMs)
    } else if (epoch !== UNJUDGED) this.counts.stale += 1
  }

  /** Opens now; when it is open already, the open time begins anew. */
  trip(reason: string, nowMs: number): void {
    if (this.state !== 'open') {
      this.#open('tripped', reason, nowMs)
      return
    }
    this.reason = reason
    this.#openUntilMs = Math.max(this.#openUntilMs, nowMs + this.#rules.openMs)
  }

  hold(kind: 'held' | 'isolated', reason: string, nowMs: number): void {
    if (kind === 'held') this.#holds += 1
    else this.#isolations += 1
    if (this.state === 'open') return
    this.#forgetWhenWell(nowMs)
    // Whether the dependency is well is not known: when the hold ends, probes find out at once.
    this.#openUntilMs = nowMs
    this.#change('open', kind, reason, nowMs)
  }

  release(kind: 'held' | 'isolated'): void {
    if (kind === 'held') this.#holds -= 1
    else this.#isolations -= 1
  }

  /** From now on nobody is refused, except by an isolation. */
  beginShadow(): void {
    this.#shadows += 1
  }

  endShadow(): void {
    this.#shadows -= 1
  }

  get shadowed(): boolean {
    return this.#shadows > 0
  }

  /** The state as callers will find it: open until the open time is over, then half-open. */
  stateAt(nowMs: number): BreakerState {
    if (this.state !== 'open' || this.#rules.probing === 'manual' || this.#overlaid) return this.state
    return nowMs < this.#openUntilMs ? 'open' : 'half-open'
  }

  /** Milliseconds until a call may pass, 0 when it may now. While held or isolated nobody knows: `openMs`. */
  retryAfterMs(nowMs: number): number {
    if (this.state === 'closed') return 0
    if (this.#shadows > 0 && this.#isolations === 0) return 0
    if (this.#overlaid) return this.#rules.openMs
    const manual = this.#rules.probing === 'manual'
    // Where calls never probe none may pass, however long it has been.
    const soonestMs = manual ? 1 : 0
    if (this.state === 'open') return Math.max(soonestMs, this.#openUntilMs - nowMs)
    if (!manual && this.#probes.free > 0) return 0
    return Math.max(soonestMs, this.#probes.nextLeaseEndMs - nowMs)
  }

  /** When a call that was refused just now should try again. */
  retryRefusedAfterMs(nowMs: number): number {
    return this.state === 'closed' ? this.#rampEndMs - nowMs : this.retryAfterMs(nowMs)
  }

  /** The share of simultaneous calls that passes; 1 but for the time after closing. */
  rampShare(nowMs: number): number {
    if (this.state !== 'closed' || nowMs >= this.#rampEndMs) return this.state === 'closed' ? 1 : 0
    const { rampMs, rampFrom } = this.#rules
    return rampFrom + (1 - rampFrom) * (1 - (this.#rampEndMs - nowMs) / rampMs)
  }

  get probesInFlight(): number {
    return this.#probes.running
  }

  /** What the window holds. */
  windowAt(nowMs: number): RollingWindow {
    this.#window.advance(nowMs)
    return this.#window
  }

  exportAt(nowMs: number, exportedWallMs: number): ExportedState {
    return {
      state: this.state,
      exportedWallMs,
      remainingOpenMs: this.state === 'open' ? Math.max(0, this.#openUntilMs - nowMs) : 0,
      remainingRampMs: this.state === 'closed' ? Math.max(0, this.#rampEndMs - nowMs) : 0,
      openings: this.openings,
      consecutiveFailures: this.consecutiveFailures,
      reason: this.reason,
      windowMs: this.#rules.windowMs,
      window: this.#window.slices(nowMs),
    }
  }

  /** Takes up what was exported `elapsedMs` ago; nothing of it can hold longer than the rules of this breaker. */
  restore(exported: ExportedState, elapsedMs: number, nowMs: number): void {
    const { rampMs, maxOpenMs, windowMs } = this.#rules
    this.reason = exported.reason
    this.openings = exported.openings
    if (exported.state === 'closed') {
      const remainingMs = Math.min(exported.remainingRampMs, rampMs) - elapsedMs
      if (remainingMs > 0) this.#rampEndMs = nowMs + remainingMs
      else this.openings = 0
      this.#planTime()
      // Failures that are older than the window are no reason to open at the next one.
      if (elapsedMs >= windowMs) return
      this.consecutiveFailures = exported.consecutiveFailures
      if (exported.windowMs === windowMs && exported.window.length === BUCKETS) {
        this.#window.restore(exported.window, elapsedMs)
      }
      return
    }
    // A probe that was running died with its process: the next call probes.
    this.state = 'open'
    this.#planTime()
    this.#openUntilMs = nowMs + Math.max(0, Math.min(exported.remainingOpenMs, maxOpenMs) - elapsedMs)
  }

  get #overlaid(): boolean {
    return this.#holds + this.#isolations > 0
  }

  #planTime(): void {
    const timed = this.state !== 'closed' || this.#rules.slowCallMs < Infinity
    this.acquireNeedsTime = timed || this.#rampEndMs !== 0
    this.successNeedsTime = timed || this.#windowed
  }

  #passesRamp(nowMs: number): boolean {
    if (nowMs >= this.#rampEndMs) {
      this.#rampEndMs = 0
      this.openings = 0
      this.#planTime()
      return true
    }
    return this.inFlight === 0 || this.#rules.random() < this.rampShare(nowMs)
  }

  #acquireAway(nowMs: number, byOwnerOnly: boolean): Permit | undefined {
    if (this.#overlaid) return this.#refuse(this.#isolations > 0 ? 'isolated' : 'held', nowMs)
    if (this.state === 'open') {
      const waits = this.#rules.probing === 'calls' && nowMs < this.#openUntilMs
      if (waits || byOwnerOnly) return this.#refuse('open', nowMs)
      this.#change('half-open', 'probing', 'the open time is over; probes find out whether it is well', nowMs)
      // From the start again: who was told of it may have changed the state already, held it or tripped it.
      return byOwnerOnly ? this.acquire(nowMs) : this.acquireProbe(nowMs)
    }
    return byOwnerOnly ? this.#refuse('probing', nowMs) : this.#probe(nowMs)
  }

  #probe(nowMs: number): Permit | undefined {
    const lost = this.#probes.takeLeases(nowMs)
    this.counts.probesLost += lost
    this.inFlight -= lost
    if (this.#probes.free === 0) return this.#refuse('probing', nowMs)
    const permit = new Permit(this.#epoch, nowMs, true)
    this.#probes.add(permit)
    this.inFlight += 1
    return permit
  }

  #refuse(reason: RefusalReason, nowMs: number): Permit | undefined {
    if (this.#shadows > 0 && this.#isolations === 0) {
      this.counts.unjudged += 1
      return new Permit(UNJUDGED, nowMs, false)
    }
    this.lastRefusal = reason
    this.counts.refused[reason] += 1
    return undefined
  }

  #count(outcome: Outcome, slow: boolean): void {
    if (slow) this.counts.slow += 1
    if (outcome === 'success') this.counts.succeeded += 1
    else if (outcome === 'failure') this.counts.failed += 1
    else this.counts.ignored += 1
  }

  #judge(outcome: Outcome, slow: boolean, nowMs: number): void {
    const failed = outcome === 'failure'
    // Who left before the call was slow has learnt nothing about the dependency.
    if (outcome !== 'success' && !failed && !slow) return
    if (this.#windowed) this.#window.record(nowMs, failed, slow)
    if (failed) {
      this.consecutiveFailures += 1
      if (this.consecutiveFailures >= this.#rules.failureThreshold) {
        const reason = `${this.consecutiveFailures} failures in a row`
        this.#open('consecutive-failures', reason, nowMs)
        return
      }
    } else if (!slow) this.consecutiveFailures = 0
    if (this.#windowed) this.#judgeShares(nowMs)
  }

  #judgeShares(nowMs: number): void {
    const { calls, failures, slow } = this.#window
    const { minimumCalls, failureRate, slowCallRate, windowMs } = this.#rules
    if (calls < minimumCalls) return
    // Division, because it is rounded correctly: 3 / 30 is 0.1, while 0.1 * 30 is more than 3.
    if (failures / calls >= failureRate) {
      this.#open('failure-rate', `${failures} of ${calls} calls failed within ${windowMs} ms`, nowMs)
    } else if (slow / calls >= slowCallRate) {
      this.#open('slow-rate', `${slow} of ${calls} calls were slow within ${windowMs} ms`, nowMs)
    }
  }

  #judgeProbe(permit: Permit, outcome: Outcome, slow: boolean, nowMs: number): void {
    this.#probes.remove(permit)
    if (outcome === 'failure' || slow) {
      this.#open('probe-failed', outcome === 'failure' ? 'a probe failed' : 'a probe was slow', nowMs)
      return
    }
    if (outcome !== 'success') return
    this.#probes.succeeded += 1
    const { succeeded } = this.#probes
    const { probes, rampMs } = this.#rules
    if (succeeded < probes) return
    this.#rampEndMs = rampMs > 0 ? nowMs + rampMs : 0
    if (this.#rampEndMs === 0) this.openings = 0
    this.consecutiveFailures = 0
    this.#window.reset(nowMs)
    this.#change('closed', 'probes-succeeded', `${succeeded} of ${probes} probes succeeded`, nowMs)
  }

  #open(cause: TransitionCause, reason: string, nowMs: number): void {
    this.#forgetWhenWell(nowMs)
    const { openMs, openGrowth, maxOpenMs, openJitter, random } = this.#rules
    const grownMs = Math.min(openMs * openGrowth ** this.openings, maxOpenMs)
    // The first time it is as long as it was asked for; processes that fail together probe together only then.
    const jitter = this.openings === 0 ? 0 : openJitter * random()
    this.openings += 1
    this.#openUntilMs = nowMs + grownMs * (1 - jitter)
    this.#change('open', cause, reason, nowMs)
  }

  /** The ramp may have ended without a call that noticed. */
  #forgetWhenWell(nowMs: number): void {
    if (this.state === 'closed' && nowMs >= this.#rampEndMs) this.openings = 0
  }

  #change(to: BreakerState, cause: TransitionCause, reason: string, nowMs: number): void {
    const from = this.state
    this.state = to
    this.#epoch += 1
    this.inFlight = 0
    this.#probes.clear()
    if (to !== 'closed') this.#rampEndMs = 0
    if (to === 'open') this.reason = reason
    this.changedAtMs = nowMs
    this.#planTime()
    this.counts.transitions[to] += 1
    this.#onChange(from, to, cause, reason, nowMs)
  }
}
