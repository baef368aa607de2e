/*
 * A shared store and a fleet around it, in simulated time: every question takes its time there and back, processes have
 * clocks of their own, and what was let pass is known to the microsecond.
 */
import type { Clock } from '@holdfast/footing'
import type { HandClock, SeededRandom } from '@holdfast/test-kit'
import { DenyCache } from '../src/deny-cache.ts'
import { type CatchingUp, LocalFallback } from '../src/fallback.ts'
import type { Claim, Decision, Policy } from '../src/index.ts'
import type { Loan } from '../src/lease-script.ts'
import type { LeaseTerms } from '../src/lease-terms.ts'
import { loanUnits, returnedTicks } from '../src/lease-terms.ts'
import { LeasedStore, type LendingStore } from '../src/leases.ts'
import { RateLimiter } from '../src/limiter.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { microseconds } from '../src/token-bucket.ts'

/** What all processes share. */
export class Bank {
  readonly clock: HandClock
  /** Questions that reached it. */
  calls = 0
  /** Hears of every request that it let pass, at the moment when it did. */
  onTaken: (claims: readonly Claim[]) => void = () => {}
  #buckets: MemoryStore

  constructor(clock: HandClock) {
    this.clock = clock
    this.#buckets = new MemoryStore({ clock })
  }

  /** As after the loss of all data. */
  clear(): void {
    this.#buckets = new MemoryStore({ clock: this.clock })
  }

  usedOf(claim: Claim): number {
    return this.#buckets.decide([{ ...claim, cost: 0 }], 'peek').verdicts[0]?.usedTicks ?? 0
  }

  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Decision {
    const decision = this.#buckets.decide(claims, mode)
    if (decision.allowed && mode === 'consume') this.onTaken(claims)
    return { ...decision, source: 'redis' }
  }

  refund(claims: readonly Claim[]): void {
    this.#buckets.refund(claims)
  }

  forget(claims: readonly Claim[]): void {
    this.#buckets.forget(claims)
  }

  lend(claim: Claim, want: number, held: number, portion: number): Loan {
    const used = this.usedOf(claim)
    const units = loanUnits(claim.policy, used, want, held, portion)
    const usedNow = used + units * claim.policy.emissionTicks
    if (units > 0) this.#buckets.learn(claim, usedNow)
    return { units, usedTicks: usedNow, atUs: microseconds(this.clock.nowMs()) }
  }

  giveBack(claim: Claim, units: number, atUs: number): number {
    const used = this.usedOf(claim)
    const ageUs = microseconds(this.clock.nowMs()) - atUs
    const back = Math.min(used, returnedTicks(claim.policy, units * claim.policy.emissionTicks, ageUs))
    this.#buckets.learn(claim, used - back)
    return back
  }

  catchUp(claim: Claim, knownTicks: number, takenTicks: number): number {
    const used = Math.max(this.usedOf(claim), knownTicks) + takenTicks
    this.#buckets.learn(claim, Math.min(used, claim.policy.toleranceTicks))
    return this.usedOf(claim)
  }
}

/** The way of one process to the bank. */
export class RemoteBank implements LendingStore, CatchingUp {
  available = true
  /** What is asked reaches the bank, and its answer never arrives. */
  deaf = false
  readonly #bank: Bank
  readonly #delayMs: () => number
  readonly #listeners = new Set<() => void>()

  /** Each way takes `delayMs`. */
  constructor(bank: Bank, delayMs: () => number) {
    this.#bank = bank
    this.#delayMs = delayMs
  }

  onRecovery = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  lose(): void {
    this.available = false
  }

  recover(): void {
    this.available = true
    for (const listener of this.#listeners) listener()
  }

  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<Decision> {
    return this.#ask(() => this.#bank.decide(claims, mode))
  }

  refund(claims: readonly Claim[]): Promise<void> {
    return this.#ask(() => this.#bank.refund(claims))
  }

  forget(claims: readonly Claim[]): Promise<void> {
    return this.#ask(() => this.#bank.forget(claims))
  }

  lend(...question: Parameters<LendingStore['lend']>): Promise<Loan> {
    return this.#ask(() => this.#bank.lend(...question))
  }

  giveBack(claim: Claim, units: number, atUs: number): Promise<number> {
    return this.#ask(() => this.#bank.giveBack(claim, units, atUs))
  }

  catchUp(...told: Parameters<CatchingUp['catchUp']>): Promise<number> {
    return this.#ask(() => this.#bank.catchUp(...told))
  }

  async close(): Promise<void> {}

  async #ask<Answer>(work: () => Answer): Promise<Answer> {
    await this.#wait()
    if (!this.available && !this.deaf) throw Object.assign(new Error('away'), { mayHaveRun: false })
    this.#bank.calls += 1
    const answer = work()
    await this.#wait()
    if (!this.available || this.deaf) throw Object.assign(new Error('no answer'), { mayHaveRun: true })
    return answer
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#bank.clock.schedule(this.#delayMs(), resolve)
    })
  }
}

/** How a fleet is simulated. */
export interface FleetPlan {
  readonly processes: number
  readonly policy: Policy
  /** Nothing is lent without. */
  readonly terms?: LeaseTerms | undefined
  readonly denyCache?: boolean
  readonly random: SeededRandom
}

/** A process of the fleet. */
export interface SimulatedProcess {
  readonly bank: RemoteBank
  readonly limiter: RateLimiter
  readonly fallback: LocalFallback
}

/** Whether a clock is late or early changes nothing. */
function skewed(clock: HandClock, byMs: number): Clock {
  return {
    nowMs: () => clock.nowMs() + byMs,
    wallMs: () => clock.wallMs() - byMs,
    schedule: (delayMs, callback) => clock.schedule(delayMs, callback),
  }
}

export function simulateFleet(
  bank: Bank,
  { processes, terms, denyCache, random }: FleetPlan,
): SimulatedProcess[] {
  return Array.from({ length: processes }, () => {
    const clock = skewed(bank.clock, random.int(-300_000, 300_000))
    const remote = new RemoteBank(bank, () => 0.1 + 0.9 * random.next())
    const size = () => processes
    const fallback = new LocalFallback({
      clock,
      store: remote,
      processes: size,
      onRecovery: remote.onRecovery,
    })
    const leased =
      terms &&
      new LeasedStore({
        store: remote,
        clock,
        terms,
        processes: size,
        onLearned: (verdict) => fallback.observe({ verdicts: [verdict] }),
      })
    const limiter = new RateLimiter({
      store: leased ?? remote,
      clock,
      denyCache: denyCache ? new DenyCache() : undefined,
      fallback,
      leases: leased,
    })
    return { bank: remote, limiter, fallback }
  })
}

/** What was let pass: when, in milliseconds, and how much. */
export type Passed = readonly (readonly [atMs: number, units: number])[]

/** By how many units a trace exceeds `capacity + perSecond * t` in some time t; not above 0 when it never does. */
export function excessOf(passed: Passed, capacity: number, perSecond: number): number {
  let level = 0
  let highest = 0
  let lastMs = 0
  for (const [atMs, units] of [...passed].sort(([one], [other]) => one - other)) {
    level = Math.max(0, level - ((atMs - lastMs) * perSecond) / 1000) + units
    highest = Math.max(highest, level)
    lastMs = atMs
  }
  return highest - capacity
}

/** The units that one exact bucket lets pass of the same requests. */
export function idealOf(asked: Passed, capacity: number, perSecond: number): number {
  let available = capacity
  let passed = 0
  let lastMs = 0
  for (const [atMs, units] of [...asked].sort(([one], [other]) => one - other)) {
    available = Math.min(capacity, available + ((atMs - lastMs) * perSecond) / 1000)
    lastMs = atMs
    if (available < units) continue
    available -= units
    passed += units
  }
  return passed
}

/** When requests come to which process; times in ms, in order. */
export type Load = readonly (readonly [atMs: number, process: number])[]

/** Requests at random times, `perSecond` in the mean, for `ms`. */
export function steadyLoad(random: SeededRandom, processes: number, perSecond: number, ms: number): Load {
  const load: [number, number][] = []
  let atMs = 0
  for (;;) {
    atMs += (-Math.log(1 - random.next()) * 1000) / perSecond
    if (atMs >= ms) return load
    load.push([atMs, random.int(0, processes - 1)])
  }
}

/** Times of little and of very much, of random length, often at one process alone. */
export function burstyLoad(random: SeededRandom, processes: number, perSecond: number, ms: number): Load {
  const load: [number, number][] = []
  let fromMs = 0
  while (fromMs < ms) {
    const lengthMs = random.pick([20, 100, 300, 1000])
    const part = steadyLoad(random, processes, perSecond * random.pick([0.01, 0.2, 1, 5]), lengthMs)
    const only = random.next() < 0.3 ? random.int(0, processes - 1) : undefined
    for (const [atMs, process] of part) load.push([fromMs + atMs, only ?? process])
    fromMs += lengthMs
  }
  return load.filter(([atMs]) => atMs < ms)
}

/** Times in which leases are taken and hardly spent while the bucket is full, and then everybody comes at once. */
export function wavyLoad(random: SeededRandom, processes: number, perSecond: number, waves: number): Load {
  const load: (readonly [number, number])[] = []
  let fromMs = 0
  for (let wave = 0; wave < waves; wave += 1) {
    for (const [factor, ms] of [
      [0.9, 600],
      [20, 100],
      [0, 1000],
    ] as const) {
      const part = factor === 0 ? [] : steadyLoad(random, processes, perSecond * factor, ms)
      for (const [atMs, process] of part) load.push([fromMs + atMs, process])
      fromMs += ms
    }
  }
  return load
}

/** Runs a load through a fleet. */
export async function runLoad(
  bank: Bank,
  fleet: readonly SimulatedProcess[],
  claims: readonly Claim[],
  load: Load,
) {
  const passed: [number, number][] = []
  const units = claims[0]?.cost ?? 0
  bank.onTaken = () => passed.push([bank.clock.nowMs(), units])
  const startMs = bank.clock.nowMs()
  const bySource: Record<string, number> = {}
  const note = (decision: Decision) => {
    if (!decision.allowed) return
    bySource[decision.source] = (bySource[decision.source] ?? 0) + 1
    if (decision.source !== 'redis') passed.push([bank.clock.nowMs(), units])
  }
  const waiting: Promise<void>[] = []
  for (const [atMs, process] of load) {
    await bank.clock.advance(Math.max(0, startMs + atMs - bank.clock.nowMs()))
    const decision = fleet[process]?.limiter.decide(claims)
    if (decision instanceof Promise) waiting.push(decision.then(note))
    else if (decision !== undefined) note(decision)
  }
  await bank.clock.advance(20)
  await Promise.all(waiting)
  const asked: Passed = load.map(([atMs]) => [startMs + atMs, units])
  const total = passed.reduce((sum, [, each]) => sum + each, 0)
  return { passed, asked, total, bySource }
}
