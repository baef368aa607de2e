/*
 * Refusals that need not be asked for again. An answer of the store says when a bucket will be full; nobody's traffic
 * can make that earlier. So until enough has come back this process can refuse by itself, and is right.
 *
 * Guarantees, with `floorMs` 0: nobody is refused whom the store would let pass, but for two cases. A request that
 * comes while others of this process are on their way, which take all there can be, counts them as let pass. And what
 * another process gives back, or fills, is not known here; requests that reserve are therefore remembered for the
 * floor only, and what this process gives back is taken into account at once.
 *
 * A floor, 20 ms by default, is a pause after a refusal in which this process does not ask at all; after it one request
 * asks, then two, four, ... while they are let pass. In a flood, that is when many were refused here since the last
 * answer, the pause lasts until 16 units have come back, but never longer than 5 s: every process of a fleet asks once
 * for what one of them gets. Who was refused is told to come when the pause is over, also where the store named an
 * earlier time, and while the question is on its way as if it were refused. What comes back meanwhile waits in the
 * bucket, because no pause takes more than half of what it has room for. So a tenant far over its limit still gets all
 * of it, while the number of questions depends on the limit and on the number of processes, not on how many requests
 * come.
 */
import type { Claim } from './claim.ts'
import { checks } from './options.ts'
import type { Policy } from './policy.ts'
import { type Decision, type Verdict, verdictOf } from './store.ts'
import { debitTicks, usedTicks, waitTicks } from './token-bucket.ts'

/** How a `DenyCache` remembers. */
export interface DenyCacheOptions {
  /** Buckets that are remembered, at least 1; the one that came first goes first. Default 50,000. */
  readonly maxKeys?: number
  /** Milliseconds after a refusal in which this process does not ask again, longer in a flood, up to 1000; 0 is exact. Default 20. */
  readonly floorMs?: number
}

/** What is known of one bucket. */
interface Entry {
  readonly key: string
  readonly policy: Policy
  /** Where it is in the ring. */
  readonly place: number
  /** When it is full at the earliest, on this process's clock, and how much later it may be; `NEVER` if not known. */
  fullAtUs: number
  slackUs: number
  /** When the question was asked to which that is the answer. */
  askedAtUs: number
  /** Not asked before, for this cost or more: less may fit; `NEVER` where there is no pause. */
  floorUntilUs: number
  floorCost: number
  /** Requests on their way, and what they take. */
  inFlight: number
  inFlightTicks: number
  /** As many may be on their way. */
  window: number
  /** Refused here since the last answer. */
  refused: number
}

/** Requests that have left for the store: the entries that were there. */
export type Asked = readonly (Entry | undefined)[]

/** Before all time, whatever a clock began with. */
const NEVER = Number.NEGATIVE_INFINITY
/** Beyond this the floor is over. */
const WIDEST_WINDOW = 256
/** So many refusals since the last answer are a flood. */
const FLOOD = 8
/** In a flood, the units that come back before this process asks again, and the longest pause for them. */
const FLOOD_UNITS = 16
const LONGEST_PAUSE_US = 5_000_000

export class DenyCache {
  readonly #maxKeys: number
  readonly #floorUs: number
  readonly #entries = new Map<string, Entry>()
  /**
   * The entries in the order in which they came, from `#next` on and around; what was forgotten leaves a gap. To find
   * the first of a map takes 60 us when 50,000 before it are gone.
   */
  readonly #ring: (Entry | undefined)[] = []
  #next = 0

  constructor({ maxKeys = 50_000, floorMs = 20 }: DenyCacheOptions = {}) {
    this.#maxKeys = checks.count('denyCache.maxKeys', maxKeys)
    this.#floorUs = checks.duration('denyCache.floorMs', floorMs, 0, 1000) * 1000
  }

  /** Buckets that are remembered. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * A refusal, when it is certain or the floor says so; undefined when the store has to be asked. To `'peek'` is no part
   * of a flood.
   */
  refusal(
    claims: readonly Claim[],
    nowUs: number,
    mode: 'consume' | 'peek' = 'consume',
  ): Decision | undefined {
    if (this.#entries.size === 0) return undefined
    for (let at = 0; at < claims.length; at += 1) {
      const claim = claims[at] as Claim
      if (claim.policy.shadow || claim.cost === 0) continue
      const entry = this.#entryOf(claim)
      if (entry !== undefined && this.#wait(entry, claim, nowUs) > 0) return this.#refuse(claims, nowUs, mode)
    }
    return undefined
  }

  /** The request leaves for the store, to take something. */
  ask(claims: readonly Claim[]): Asked {
    if (this.#entries.size === 0) return nobody
    let asked: (Entry | undefined)[] | undefined
    for (let at = 0; at < claims.length; at += 1) {
      const claim = claims[at] as Claim
      const entry = this.#entryOf(claim)
      if (entry === undefined) continue
      entry.inFlight += 1
      entry.inFlightTicks += debitTicks(claim.policy, claim.cost)
      asked ??= claims.map(() => undefined)
      asked[at] = entry
    }
    return asked ?? nobody
  }

  /**
   * The store has answered, or could not (`decision` undefined). `askedAtUs` is when the request left. What
   * `mayComeBack` is remembered for the floor only. Answers the decision; a refusal with no wait that ends within a
   * pause, in which a retry would be refused here.
   */
  learn(
    claims: readonly Claim[],
    asked: Asked,
    decision: Decision | undefined,
    askedAtUs: number,
    nowUs: number,
    mayComeBack: boolean,
  ): Decision | undefined {
    for (let at = 0; at < asked.length; at += 1) {
      const [entry, claim] = [asked[at], claims[at] as Claim]
      if (entry === undefined) continue
      entry.inFlight -= 1
      entry.inFlightTicks -= debitTicks(claim.policy, claim.cost)
    }
    if (decision === undefined) return undefined
    for (const verdict of decision.verdicts) {
      if (!verdict.policy.shadow && verdict.claim.cost > 0) {
        this.#note(verdict, decision.allowed, askedAtUs, nowUs, mayComeBack)
      }
    }
    return decision.allowed ? decision : this.#waitOut(decision, nowUs)
  }

  /** This much was given back, or filled. */
  forget(claims: readonly Claim[]): void {
    if (this.#entries.size === 0) return
    for (const { key } of claims) {
      const entry = this.#entries.get(key)
      if (entry !== undefined) this.#remove(entry)
    }
  }

  /** Remembers what the store said of one bucket. `passed` is the whole request, which other buckets may have refused. */
  #note(
    { claim, policy, usedTicks: used, allowed: fits }: Verdict,
    passed: boolean,
    askedAtUs: number,
    nowUs: number,
    mayComeBack: boolean,
  ): void {
    const known = this.#entryOf(claim)
    // Worth remembering is what refuses the next one, or what is remembered already.
    const nextFits = used + debitTicks(policy, claim.cost) <= policy.toleranceTicks
    if (known === undefined && (nextFits || (fits && mayComeBack))) return
    const entry = known ?? this.#add(claim)
    // An answer to an earlier question may come later.
    if (askedAtUs >= entry.askedAtUs) {
      entry.askedAtUs = askedAtUs
      // The store counted from a moment between the question and its answer.
      entry.fullAtUs = mayComeBack ? NEVER : askedAtUs + Math.floor(used / policy.ticksPerUs)
      entry.slackUs = nowUs - askedAtUs + 1
    }
    if (!fits) this.#pause(entry, claim.cost, nowUs)
    else if (passed) widen(entry)
  }

  /** The bucket has refused this cost: it is not asked for as much, or more, before the pause is over. */
  #pause(entry: Entry, cost: number, nowUs: number): void {
    if (this.#floorUs > 0) {
      const pausedAlready = nowUs < entry.floorUntilUs
      entry.floorCost = pausedAlready ? Math.min(entry.floorCost, cost) : cost
      entry.floorUntilUs = Math.max(entry.floorUntilUs, nowUs + this.#pauseLengthUs(entry))
      entry.window = 1
    }
    entry.refused = 0
  }

  #waitOut(decision: Decision, nowUs: number): Decision {
    let { retryAfterMs } = decision
    const verdicts = decision.verdicts.map((verdict) => {
      const { claim, policy, allowed } = verdict
      if (policy.shadow || claim.cost === 0) return verdict
      const pauseMs = this.#pausedMs(claim, nowUs)
      retryAfterMs = Math.max(retryAfterMs, pauseMs)
      return allowed || pauseMs <= verdict.retryAfterMs ? verdict : { ...verdict, retryAfterMs: pauseMs }
    })
    return { ...decision, verdicts, retryAfterMs }
  }

  #pausedMs(claim: Claim, nowUs: number): number {
    const entry = this.#entryOf(claim)
    if (entry === undefined || claim.cost < entry.floorCost) return 0
    return Math.max(0, Math.ceil((entry.floorUntilUs - nowUs) / 1000))
  }

  /** The floor; in a flood the time in which `FLOOD_UNITS` come back, if that is longer. */
  #pauseLengthUs({ policy, refused }: Entry): number {
    const isFlood = refused >= FLOOD
    const floodUs = isFlood ? Math.min(FLOOD_UNITS * policy.emissionUs, LONGEST_PAUSE_US) : 0
    // What comes back in a pause must find room in the bucket, and as much again, or it would be lost.
    const roomUs = (policy.toleranceUs - policy.emissionUs) / 2
    return Math.min(Math.max(this.#floorUs, floodUs), roomUs)
  }

  #add({ key, policy }: Claim): Entry {
    const place = this.#next
    this.#next = place + 1 < this.#maxKeys ? place + 1 : 0
    const first = this.#ring[place]
    if (first !== undefined) this.#remove(first)
    const entry: Entry = {
      key,
      policy,
      place,
      fullAtUs: NEVER,
      slackUs: 0,
      askedAtUs: NEVER,
      floorUntilUs: NEVER,
      floorCost: 0,
      inFlight: 0,
      inFlightTicks: 0,
      window: Number.POSITIVE_INFINITY,
      refused: 0,
    }
    this.#ring[place] = entry
    this.#entries.set(key, entry)
    return entry
  }

  #remove({ key, place }: Entry): void {
    this.#entries.delete(key)
    this.#ring[place] = undefined
  }

  /** Of the same terms: those of other terms say nothing. */
  #entryOf({ key, policy }: Claim): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.policy === policy) return entry
    this.#remove(entry)
    return undefined
  }

  /** Microseconds for which this claim is refused; 0 when it has to be asked for. */
  #wait(entry: Entry, { policy, cost }: Claim, nowUs: number): number {
    const used = usedTicks(policy, nowUs, entry.fullAtUs, 0, policy.toleranceUs)
    const taken = waitTicks(policy, used + entry.inFlightTicks, cost) / policy.ticksPerUs
    const floor = cost < entry.floorCost ? 0 : entry.floorUntilUs - nowUs
    if (taken > 0 || floor > 0) return Math.max(taken, floor)
    if (entry.inFlight >= entry.window && cost >= entry.floorCost) {
      // Who obeyed less would be refused in the pause that a refusal of those on their way begins.
      return Math.max(1, this.#pauseLengthUs(entry))
    }
    // Full, asked of nobody, and free of a floor: it is as if it were not known.
    if (used === 0 && entry.inFlight === 0 && entry.window === Number.POSITIVE_INFINITY) {
      this.#remove(entry)
    }
    return 0
  }

  #refuse(claims: readonly Claim[], nowUs: number, mode: 'consume' | 'peek'): Decision {
    const verdicts: Verdict[] = []
    const violated: string[] = []
    let retryAfterMs = 0
    for (const claim of claims) {
      const { policy } = claim
      const entry = this.#entryOf(claim)
      if (entry === undefined) continue
      const { toleranceTicks, ticksPerUs } = policy
      const used = usedTicks(policy, nowUs, entry.fullAtUs, 0, policy.toleranceUs)
      const wait = policy.shadow || claim.cost === 0 ? 0 : this.#wait(entry, claim, nowUs)
      if (wait === 0) {
        verdicts.push(verdictOf(claim, 0, used))
        continue
      }
      // Refused as long as it is certain, and told to come when it is certain to pass: until then there is not enough.
      const least = Math.max(used, toleranceTicks - debitTicks(policy, claim.cost) + 1)
      const verdict = verdictOf(claim, (wait + entry.slackUs) * ticksPerUs, Math.min(least, toleranceTicks))
      verdicts.push(verdict)
      if (mode === 'consume') entry.refused += 1
      violated.push(policy.name)
      retryAfterMs = Math.max(retryAfterMs, verdict.retryAfterMs)
    }
    return { allowed: false, violated, verdicts, retryAfterMs, source: 'denied-locally', degraded: false }
  }
}

/** One more for each that passed: twice as many every round trip. */
function widen(entry: Entry): void {
  entry.window += 1
  if (entry.window > WIDEST_WINDOW) entry.window = Number.POSITIVE_INFINITY
}

const nobody: Asked = []
