/*
 * The breaker as one would explain it: it keeps every call there ever was and counts them anew at every question.
 * Slow and plain on purpose; the real one must agree with it in every trace.
 */
import type { BreakerRules } from '../src/breaker.ts'
import type { Outcome } from '../src/outcome.ts'
import type { Permit } from '../src/permit.ts'

export interface SlowPermit {
  readonly epoch: number
  readonly startedAtMs: number
  readonly judged: boolean
  settled: boolean
  /** The real permit that was given at the same moment. */
  twin: Permit | undefined
}

interface Result {
  readonly epoch: number
  readonly slice: number
  readonly failed: boolean
  readonly slow: boolean
}

export class SlowBreaker {
  state: 'closed' | 'open' | 'half-open' = 'closed'
  openings = 0
  #epoch = 0
  #openUntilMs = 0
  #rampEndMs = 0
  #windowOriginMs: number
  readonly #rules: BreakerRules
  readonly #results: Result[] = []
  readonly #permits: SlowPermit[] = []
  #probesSucceeded = 0
  readonly overlays: string[] = []
  shadows = 0

  constructor(rules: BreakerRules, nowMs: number) {
    this.#rules = rules
    this.#windowOriginMs = nowMs
  }

  acquire(nowMs: number, byOwner = false): SlowPermit | undefined {
    const admitted = this.#admits(nowMs, byOwner)
    if (!admitted && (this.shadows === 0 || this.overlays.includes('isolated'))) return undefined
    const permit = {
      epoch: this.#epoch,
      startedAtMs: nowMs,
      judged: admitted,
      settled: false,
      twin: undefined,
    }
    this.#permits.push(permit)
    return permit
  }

  settle(permit: SlowPermit, outcome: Outcome, nowMs: number): void {
    if (permit.settled) return
    const lost = this.#isLost(permit)
    permit.settled = true
    if (!permit.judged || lost || permit.epoch !== this.#epoch) return
    const failed = outcome === 'failure'
    const slow = outcome !== 'ignored' && nowMs - permit.startedAtMs >= this.#rules.slowCallMs
    if (!failed && !slow && outcome !== 'success') return
    if (this.state === 'half-open') {
      this.#probesSucceeded += failed || slow ? 0 : 1
      if (failed || slow) this.#open(nowMs)
      else if (this.#probesSucceeded >= this.#rules.probes) this.#close(nowMs)
      return
    }
    this.#results.push({ epoch: this.#epoch, slice: this.#sliceAt(nowMs), failed, slow })
    if (this.#mustOpen(nowMs)) this.#open(nowMs)
  }

  trip(nowMs: number): void {
    if (this.state !== 'open') this.#open(nowMs)
    else this.#openUntilMs = Math.max(this.#openUntilMs, nowMs + this.#rules.openMs)
  }

  overlay(kind: 'held' | 'isolated', nowMs: number): void {
    this.overlays.push(kind)
    if (this.state === 'open') return
    if (this.state === 'closed' && nowMs >= this.#rampEndMs) this.openings = 0
    this.#openUntilMs = nowMs
    this.#enter('open')
  }

  release(kind: 'held' | 'isolated'): void {
    this.overlays.splice(this.overlays.indexOf(kind), 1)
  }

  #admits(nowMs: number, byOwner: boolean): boolean {
    const { probing, probes, probeLeaseMs, rampMs, rampFrom, random } = this.#rules
    if (this.state === 'closed') {
      if (nowMs >= this.#rampEndMs) return true
      const share = rampFrom + (1 - rampFrom) * (1 - (this.#rampEndMs - nowMs) / rampMs)
      return this.#running.length === 0 || random() < share
    }
    if (this.overlays.length > 0 || (probing === 'manual' && !byOwner)) return false
    if (this.state === 'open') {
      if (probing === 'calls' && nowMs < this.#openUntilMs) return false
      this.#enter('half-open')
    }
    for (const permit of this.#running) {
      if (nowMs - permit.startedAtMs >= probeLeaseMs) this.#lost.add(permit)
    }
    return this.#running.length + this.#probesSucceeded < probes
  }

  readonly #lost = new Set<SlowPermit>()

  #isLost(permit: SlowPermit): boolean {
    return this.#lost.has(permit)
  }

  get #running(): SlowPermit[] {
    return this.#permits.filter(
      (permit) => permit.judged && !permit.settled && permit.epoch === this.#epoch && !this.#lost.has(permit),
    )
  }

  #mustOpen(nowMs: number): boolean {
    const { failureThreshold, failureRate, slowCallRate, minimumCalls } = this.#rules
    const results = this.#results.filter(({ epoch }) => epoch === this.#epoch)
    // A slow answer ends no row of failures; neither does it belong to one.
    const rowed = results.filter(({ failed, slow }) => failed || !slow)
    let inARow = 0
    while (rowed.at(-1 - inARow)?.failed === true) inARow += 1
    if (inARow >= failureThreshold) return true
    const now = this.#sliceAt(nowMs)
    const window = results.filter(({ slice }) => slice > now - 10)
    if (window.length < minimumCalls) return false
    const failures = window.filter(({ failed }) => failed).length
    const slow = window.filter((result) => result.slow).length
    return failures / window.length >= failureRate || slow / window.length >= slowCallRate
  }

  #sliceAt(nowMs: number): number {
    return Math.floor((nowMs - this.#windowOriginMs) / (this.#rules.windowMs / 10))
  }

  #open(nowMs: number): void {
    const { openMs, openGrowth, maxOpenMs, openJitter, random } = this.#rules
    if (this.state === 'closed' && nowMs >= this.#rampEndMs) this.openings = 0
    const grownMs = Math.min(openMs * openGrowth ** this.openings, maxOpenMs)
    this.#openUntilMs = nowMs + grownMs * (this.openings === 0 ? 1 : 1 - openJitter * random())
    this.openings += 1
    this.#enter('open')
  }

  #close(nowMs: number): void {
    this.#rampEndMs = nowMs + this.#rules.rampMs
    this.#windowOriginMs = nowMs
    this.#enter('closed')
  }

  #enter(state: 'closed' | 'open' | 'half-open'): void {
    this.state = state
    this.#epoch += 1
    this.#probesSucceeded = 0
    if (state !== 'closed') this.#rampEndMs = 0
  }
}
