/*
 * What decides while the shared store is lost: each policy as its `onStoreLoss` says, at once and in this process.
 *
 * Guarantees for `'local'`, with N processes that know of each other: each bucket is shared out. A process holds the
 * N-th part of it, of which the same fraction is used as the store last said; so they all together let pass at most
 * what the store last had, and what has come back since, in the whole outage `B + R * t`. What others took after a
 * process heard of a bucket for the last time is not known to it; while it drew on the bucket that is what came back in
 * a round trip, in a pause after a refusal or in the life of a lease. A part holds one unit at least: a capacity below
 * N becomes N. A bucket the store has not told of begins full.
 *
 * When the store is there again it is told, once, what was let pass and has not come back. What it may have taken
 * itself, from a request that it did not answer, it is not told: nothing is taken twice. A store that has forgotten a
 * bucket is told what was known of it, too. Buckets that were decided here stay here for as long as the store was away,
 * a second at most: until then the others have told it, too, who find it again a little later. Requests that draw on a
 * `'closed'` policy besides do not wait for that: here they would be refused.
 *
 * Does not guarantee that a request for more than a part holds ever passes while the store is lost; nor that a process
 * which alone has lost the store is counted: its part comes on top of what the store lets pass.
 */
import type { Clock } from '@holdfast/footing'
import type { Claim } from './claim.ts'
import { MemoryStore } from './memory-store.ts'
import type { Policy } from './policy.ts'
import { type Decision, decisionOf, type LimitStore, type Verdict } from './store.ts'
import { bucketTerms, debitTicks, MAX_TOLERANCE_US, microseconds, ticksToMs } from './token-bucket.ts'

/** Decides at once, without the shared store. */
export interface Fallback {
  /** `mayBeTaken`: the store was asked for it and has not answered. */
  decide(claims: readonly Claim[], mode: 'consume' | 'peek', mayBeTaken: boolean): Decision
  /** Whether it decides about these although the store is there again. */
  keeps(claims: readonly Claim[]): boolean
  /** What the shared store decided, for a share of it should it be lost. */
  observe(decision: Pick<Decision, 'verdicts'>): void
  refund(claims: readonly Claim[]): void | Promise<void>
  snapshot(): FallbackSnapshot
  close(): Promise<void>
}

/** A store that can be told what was let pass without it. */
export interface CatchingUp extends Pick<LimitStore, 'available' | 'refund'> {
  /**
   * At least `knownTicks` of the bucket were used, whatever it remembers, and `takenTicks` come on top; it gets at most
   * empty. Answers what is used now. A rejection with `mayHaveRun` false says that nothing has happened.
   */
  catchUp(claim: Claim, knownTicks: number, takenTicks: number): Promise<number>
}

/** What a `LocalFallback` takes. */
export interface LocalFallbackParts {
  readonly clock: Clock
  /** Buckets that are kept one by one. Default 50,000. */
  readonly maxKeys?: number | undefined
  /** The store that is told. Default: none. */
  readonly store?: CatchingUp | undefined
  /** Calls `listener` when the store is there again, before anybody else asks it. Default: it is found out later. */
  readonly onRecovery?: ((listener: () => void) => () => void) | undefined
  /** How many processes share a bucket. Default: this one alone. */
  readonly processes?: (() => number) | undefined
}

/** The numbers of a fallback, as plain data. */
export interface FallbackSnapshot {
  /** Buckets of which something is known, and those of which the store has to be told. */
  readonly keys: number
  readonly owing: number
  /** Buckets of which the store was told, and those of which it could not be: nobody knows whether it was, or too many. */
  readonly told: number
  readonly untold: number
}

/** What this process let pass of a bucket, of which the store does not know or need not be told. */
interface Debt {
  readonly claim: Claim
  /** The part of the bucket that is this process's. */
  readonly local: Policy
  /** What is used of the part, in its ticks, and what would be without what the store has to be told. */
  usedTicks: number
  knownTicks: number
  /** What the store knows to be used of the whole, in the ticks of the whole. */
  storedTicks: number
  /** When that was so. */
  atUs: number
  /** Whether the store is just being told. */
  telling: boolean
}

/** So many buckets are told of at once. */
const TOLD_AT_ONCE = 512
/** The longest time for which buckets stay here when the store is there again: twice that between two connections. */
const SETTLING_MS = 1000
/** When to ask again where nobody passes without the store: about when a lost one is there again. */
const CLOSED_RETRY_MS = 5000
/** Looks so often whether the store can be told, should nobody say so. */
const CHECK_MS = 250
/** While processes come back, what one has let pass is what the next one must not. */
const SETTLING_CHECK_MS = 50

export class LocalFallback implements Fallback {
  readonly #clock: Clock
  readonly #memory: MemoryStore
  readonly #maxDebts: number
  readonly #store: CatchingUp | undefined
  readonly #processes: () => number
  readonly #forgetRecovery: () => void
  readonly #parts = new WeakMap<Policy, { readonly processes: number; readonly policy: Policy }>()
  readonly #debts = new Map<string, Debt>()
  #cancelCheck: (() => void) | undefined
  #lostAtMs: number | undefined
  #settlingUntilMs = Number.NEGATIVE_INFINITY
  #telling: Promise<void> | undefined
  #told = 0
  #untold = 0
  #closed = false

  constructor({ clock, maxKeys = 50_000, store, onRecovery, processes = alone }: LocalFallbackParts) {
    this.#clock = clock
    this.#memory = new MemoryStore({ clock, maxKeys })
    this.#maxDebts = maxKeys
    this.#store = store
    this.#processes = processes
    this.#forgetRecovery = onRecovery?.(() => this.#recover()) ?? nothing
  }

  decide(claims: readonly Claim[], mode: 'consume' | 'peek', mayBeTaken = false): Decision {
    if (this.#store?.available === false) this.#lostAtMs ??= this.#clock.nowMs()
    const closed = claims.filter(isClosed)
    if (closed.length > 0) {
      const empty = closed.map(({ policy }) => policy.toleranceTicks)
      const decision = decisionOf(closed, empty, mode, 'fallback', true)
      // How much is left is not known, nor when it will be: the bucket has nothing to do with it.
      return { ...decision, retryAfterMs: CLOSED_RETRY_MS }
    }
    const own = claims.filter(({ policy }) => policy.onStoreLoss === 'local')
    const parts = own.map((claim) => this.#partOf(claim))
    const decision = this.#memory.decide(parts, mode)
    const verdicts = decision.verdicts.map((verdict, at) => ofWhole(own[at] as Claim, verdict))
    if (mode === 'consume' && decision.allowed && this.#store !== undefined) {
      for (let at = 0; at < own.length; at += 1) {
        const verdict = decision.verdicts[at] as Verdict
        if (verdict.allowed && verdict.claim.cost > 0) this.#owe(own[at] as Claim, verdict, mayBeTaken)
      }
    }
    let retryAfterMs = 0
    for (const { allowed, policy, retryAfterMs: wait } of verdicts) {
      if (!allowed && !policy.shadow) retryAfterMs = Math.max(retryAfterMs, wait)
    }
    return {
      allowed: decision.allowed,
      violated: decision.violated,
      verdicts,
      retryAfterMs,
      source: 'fallback',
      degraded: true,
    }
  }

  keeps(claims: readonly Claim[]): boolean {
    if (this.#debts.size === 0) return false
    if (this.#settles()) {
      if (!claims.some(({ key }) => this.#debts.has(key))) return false
      if (!claims.some(isClosed)) return true
    }
    // It is told before it is asked, as a rule; else it finds out a moment later.
    this.#tell()
    return false
  }

  observe({ verdicts }: Pick<Decision, 'verdicts'>): void {
    for (const { claim, policy, usedTicks } of verdicts) {
      if (policy.onStoreLoss === 'local') this.#learn(claim, usedTicks)
    }
    if (this.#debts.size > 0) this.#tell()
  }

  /** What the store says does not hold yet what it is owed. */
  #learn(claim: Claim, usedTicks: number): void {
    const debt = this.#debts.get(claim.key)
    let owed = 0
    if (debt !== undefined) {
      moveTo(debt, microseconds(this.#clock.nowMs()))
      debt.storedTicks = usedTicks
      owed = owedTicks(debt)
    }
    this.#memory.learn(claim, usedTicks + owed)
  }

  /** Gives back what was let pass here, also when the store has been told of it meanwhile. */
  refund(claims: readonly Claim[]): void | Promise<void> {
    const told: Claim[] = []
    for (const claim of claims) {
      const debt = this.#debts.get(claim.key)
      if (this.#store !== undefined && (debt === undefined || debt.telling)) {
        told.push(claim)
        continue
      }
      const part = this.#partOf(claim)
      this.#memory.refund([part])
      if (debt !== undefined) {
        moveTo(debt, microseconds(this.#clock.nowMs()))
        debt.usedTicks = Math.max(debt.knownTicks, debt.usedTicks - debitTicks(debt.local, claim.cost))
      }
    }
    if (told.length > 0) return this.#store?.refund(told)
  }

  snapshot(): FallbackSnapshot {
    const { keys } = this.#memory.snapshot()
    return { keys, owing: this.#debts.size, told: this.#told, untold: this.#untold }
  }

  /** Tells the store what it is owed, if it is there. */
  async close(): Promise<void> {
    this.#closed = true
    this.#forgetRecovery()
    this.#cancelCheck?.()
    await this.#telling
    if (this.#store?.available) await this.#tellAll()
    this.#debts.clear()
    await this.#memory.close()
  }

  /** The same claim on the part of the bucket that is this process's. */
  #partOf(claim: Claim): Claim {
    const processes = Math.max(1, Math.ceil(this.#processes()))
    if (processes === 1) return claim
    let part = this.#parts.get(claim.policy)
    if (part?.processes !== processes) {
      part = { processes, policy: partOfPolicy(claim.policy, processes) }
      this.#parts.set(claim.policy, part)
    }
    return { ...claim, policy: part.policy }
  }

  #owe(claim: Claim, { policy: local, usedTicks }: Verdict, mayBeTaken: boolean): void {
    const debit = debitTicks(local, claim.cost)
    const debt = this.#debtOf(claim, local, usedTicks - debit)
    if (debt === undefined) {
      if (!mayBeTaken) this.#untold += 1
      return
    }
    debt.usedTicks += debit
    if (!mayBeTaken) return
    debt.knownTicks += debit
    debt.storedTicks += debitTicks(claim.policy, claim.cost)
  }

  /** What is owed of this bucket, up to now; `usedTicks` are used of the part if nothing is. */
  #debtOf(claim: Claim, local: Policy, usedTicks: number): Debt | undefined {
    const nowUs = microseconds(this.#clock.nowMs())
    const known = this.#debts.get(claim.key)
    if (known !== undefined && known.local === local) {
      moveTo(known, nowUs)
      return known
    }
    if (known === undefined && this.#debts.size >= this.#maxDebts) return undefined
    // The rest of a debt by other terms is forgiven.
    const debt = {
      claim,
      local,
      usedTicks,
      knownTicks: usedTicks,
      storedTicks: (usedTicks / local.toleranceTicks) * claim.policy.toleranceTicks,
      atUs: nowUs,
      telling: false,
    }
    this.#debts.set(claim.key, debt)
    this.#checkLater()
    return debt
  }

  #recover(): void {
    const nowMs = this.#clock.nowMs()
    const settlingMs = Math.min(SETTLING_MS, nowMs - (this.#lostAtMs ?? nowMs))
    this.#settlingUntilMs = Math.max(this.#settlingUntilMs, nowMs + settlingMs)
    this.#lostAtMs = undefined
    this.#cancelCheck?.()
    this.#cancelCheck = undefined
    if (this.#debts.size > 0) this.#checkLater()
    this.#tell()
  }

  #settles(): boolean {
    return this.#clock.nowMs() < this.#settlingUntilMs
  }

  #checkLater(): void {
    if (this.#closed) return
    this.#cancelCheck ??= this.#clock.schedule(this.#settles() ? SETTLING_CHECK_MS : CHECK_MS, () => {
      this.#cancelCheck = undefined
      this.#tell()
      if (this.#debts.size > 0) this.#checkLater()
    })
  }

  #tell(): void {
    if (this.#telling !== undefined || this.#closed || !this.#store?.available) return
    this.#telling = this.#tellAll().finally(() => {
      this.#telling = undefined
    })
  }

  /** One wave after the other, each of them sent before anything else of this turn. */
  async #tellAll(): Promise<void> {
    const debts = [...this.#debts.values()]
    for (let from = 0; from < debts.length && this.#store?.available; from += TOLD_AT_ONCE) {
      await Promise.all(debts.slice(from, from + TOLD_AT_ONCE).map((debt) => this.#tellOf(debt)))
    }
  }

  /** Tells the store of one bucket. What was let pass here while it was told is owed still. */
  async #tellOf(debt: Debt): Promise<void> {
    const { claim, local } = debt
    const toldAtUs = microseconds(this.#clock.nowMs())
    moveTo(debt, toldAtUs)
    const { usedTicks: usedWhenTold } = debt
    const owed = owedTicks(debt)
    const answer = owed > 0 ? await this.#tellStore(debt, owed) : nothingToTell
    const isForgotten = this.#debts.get(claim.key) !== debt
    if (answer === 'not heard' || isForgotten) return
    const nowUs = microseconds(this.#clock.nowMs())
    moveTo(debt, nowUs)
    // The store knows all that was used when it was told, less what has come back since.
    debt.knownTicks = Math.max(0, usedWhenTold - (nowUs - toldAtUs) * local.ticksPerUs)
    debt.storedTicks = answer.storedTicks ?? debt.storedTicks + owed
    // Until the others have told theirs, the part says more than the store.
    if (debt.usedTicks > debt.knownTicks || this.#settles()) return
    this.#debts.delete(claim.key)
    this.#memory.learn(claim, debt.storedTicks)
  }

  /** What the store says to be used now; nothing where it may have heard without an answer. */
  async #tellStore(debt: Debt, owed: number): Promise<Told | 'not heard'> {
    debt.telling = true
    try {
      const storedTicks = await this.#store?.catchUp(debt.claim, Math.floor(debt.storedTicks), owed)
      this.#told += 1
      return { storedTicks }
    } catch (error) {
      if ((error as { readonly mayHaveRun?: unknown }).mayHaveRun === false) return 'not heard'
      // It is not told again: what it has heard twice would be taken twice.
      this.#untold += 1
      return { storedTicks: undefined }
    } finally {
      debt.telling = false
    }
  }
}

/** What the store has answered when it was told. */
interface Told {
  readonly storedTicks: number | undefined
}

const nothingToTell: Told = { storedTicks: undefined }

/** One of `processes` equal parts of a bucket. */
export function partOfPolicy(policy: Policy, processes: number): Policy {
  const capacity = Math.max(1, Math.floor(policy.capacity / processes))
  const refill = { units: policy.ticksPerUs, us: policy.emissionTicks * processes }
  const terms = bucketTerms(capacity, refill) ?? bucketTerms(1, { units: 1, us: MAX_TOLERANCE_US })
  return { ...policy, ...terms }
}

/** Whether it refuses while the store is lost. */
function isClosed({ policy, cost }: Claim): boolean {
  return policy.onStoreLoss === 'closed' && !policy.shadow && cost > 0
}

/** What this process sees of a bucket of which it holds a part: what is left is what it can let pass itself. */
function ofWhole(claim: Claim, part: Verdict): Verdict {
  const { policy } = claim
  const usedTicks = policy.toleranceTicks - part.remaining * policy.emissionTicks
  // For more than a part holds there is no time; what is certain is that it has to be full.
  const never = part.retryAfterMs === Number.POSITIVE_INFINITY && claim.cost <= policy.capacity
  const retryAfterMs = never ? ticksToMs(policy, policy.toleranceTicks) : part.retryAfterMs
  return { ...part, claim, policy, usedTicks, retryAfterMs }
}

/** Lets time pass: what comes back, comes back of all. */
function moveTo(debt: Debt, nowUs: number): void {
  const ticks = (nowUs - debt.atUs) * debt.local.ticksPerUs
  debt.knownTicks = Math.max(0, debt.knownTicks - ticks)
  debt.usedTicks = Math.max(0, debt.usedTicks - ticks)
  debt.storedTicks = Math.max(0, debt.storedTicks - (nowUs - debt.atUs) * debt.claim.policy.ticksPerUs)
  debt.atUs = nowUs
}

/** What the store has to be told, in the ticks of the whole. */
function owedTicks({ claim, local, usedTicks, knownTicks }: Debt): number {
  return Math.ceil(((usedTicks - knownTicks) / local.emissionTicks) * claim.policy.emissionTicks)
}

function alone(): number {
  return 1
}

function nothing(): void {}
