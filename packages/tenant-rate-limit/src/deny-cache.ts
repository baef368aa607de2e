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
 * asks, then two, four, ... while they are let pass. What comes back meanwhile waits in the bucket, so that a tenant
 * far over its limit still gets all of it, while the number of questions does not depend on how many requests come. It
 * is never longer than half the time in which the bucket fills.
 */
import type { Claim } from './claim.ts'
import type { Policy } from './policy.ts'
import { type Decision, type Verdict, verdictOf } from './store.ts'
import { debitTicks, usedTicks, waitTicks } from './token-bucket.ts'

/** How a `DenyCache` remembers. */
export interface DenyCacheOptions {
  /** Buckets that are remembered; the one that came first goes first. Default 50,000. */
  readonly maxKeys?: number
  /** Milliseconds after a refusal in which this process does not ask again; 0 asks as early as it can pass. Default 20. */
  readonly floorMs?: number
}

/** What is known of one bucket. */
interface Entry {
  readonly key: string
  readonly policy: Policy
  /** When it is full at the earliest, on this process's clock. */
  fullAtUs: number
  /** When the question was asked to which that is the answer. */
  askedAtUs: number
  /** Not asked before. */
  floorUntilUs: number
  /** Requests on their way, and what they take. */
  inFlight: number
  inFlightTicks: number
  /** As many may be on their way. */
  window: number
}

/** Requests that have left for the store: the entries that were there. */
export type Asked = readonly (Entry | undefined)[]

/** Beyond this the floor is over. */
const WIDEST_WINDOW = 256

export class DenyCache {
  readonly #maxKeys: number
  readonly #floorUs: number
  readonly #entries = new Map<string, Entry>()

  constructor({ maxKeys = 50_000, floorMs = 20 }: DenyCacheOptions = {}) {
    this.#maxKeys = maxKeys
    this.#floorUs = floorMs * 1000
  }

  /** Buckets that are remembered. */
  get size(): number {
    return this.#entries.size
  }

  /** A refusal, when it is certain or the floor says so; undefined when the store has to be asked. */
  refusal(claims: readonly Claim[], nowUs: number): Decision | undefined {
    if (this.#entries.size === 0) return undefined
    for (let at = 0; at < claims.length; at += 1) {
      const claim = claims[at] as Claim
      if (claim.policy.shadow || claim.cost === 0) continue
      const entry = this.#entryOf(claim)
      if (entry !== undefined && this.#wait(entry, claim, nowUs) > 0) return this.#refuse(claims, nowUs)
    }
    return undefined
  }

  /** The request leaves for the store. */
  ask(claims: readonly Claim[]): Asked {
    if (this.#entries.size === 0) return nobody
    return claims.map((claim) => {
      const entry = this.#entryOf(claim)
      if (entry === undefined) return undefined
      entry.inFlight += 1
      entry.inFlightTicks += debitTicks(claim.policy, claim.cost)
      return entry
    })
  }

  /**
   * The store has answered, or could not (`decision` undefined). `askedAtUs` is when the request left. What
   * `mayComeBack` is remembered for the floor only.
   */
  learn(
    claims: readonly Claim[],
    asked: Asked,
    decision: Decision | undefined,
    askedAtUs: number,
    nowUs: number,
    mayComeBack: boolean,
  ): void {
    for (let at = 0; at < asked.length; at += 1) {
      const [entry, claim] = [asked[at], claims[at] as Claim]
      if (entry === undefined) continue
      entry.inFlight -= 1
      entry.inFlightTicks -= debitTicks(claim.policy, claim.cost)
    }
    if (decision === undefined) return
    for (const verdict of decision.verdicts) {
      if (!verdict.policy.shadow && verdict.claim.cost > 0) {
        this.#note(verdict, decision.allowed, askedAtUs, nowUs, mayComeBack)
      }
    }
  }

  /** This much was given back, or filled. */
  forget(claims: readonly Claim[]): void {
    if (this.#entries.size === 0) return
    for (const { key } of claims) this.#entries.delete(key)
  }

  #note(
    { claim, policy, usedTicks: used, allowed: fits }: Verdict,
    allowed: boolean,
    askedAtUs: number,
    nowUs: number,
    mayComeBack: boolean,
  ): void {
    const known = this.#entryOf(claim)
    const nextFits = used + debitTicks(policy, claim.cost) <= policy.toleranceTicks
    if (known === undefined && nextFits) return
    const entry = known ?? this.#add(claim)
    if (askedAtUs >= entry.askedAtUs) {
      entry.askedAtUs = askedAtUs
      // Rounded down: the store counted from a later moment.
      entry.fullAtUs = mayComeBack ? 0 : askedAtUs + Math.floor(used / policy.ticksPerUs)
    }
    if (!fits) {
      entry.floorUntilUs = nowUs + Math.min(this.#floorUs, policy.toleranceUs / 2)
      if (this.#floorUs > 0) entry.window = 1
    } else if (allowed) {
      entry.window *= 2
      if (entry.window > WIDEST_WINDOW) entry.window = Number.POSITIVE_INFINITY
    }
  }

  #add({ key, policy }: Claim): Entry {
    if (this.#entries.size >= this.#maxKeys) {
      const [first] = this.#entries.keys()
      if (first !== undefined) this.#entries.delete(first)
    }
    const entry: Entry = {
      key,
      policy,
      fullAtUs: 0,
      askedAtUs: Number.NEGATIVE_INFINITY,
      floorUntilUs: 0,
      inFlight: 0,
      inFlightTicks: 0,
      window: Number.POSITIVE_INFINITY,
    }
    this.#entries.set(key, entry)
    return entry
  }

  /** Of the same terms: those of other terms say nothing. */
  #entryOf({ key, policy }: Claim): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.policy === policy) return entry
    this.#entries.delete(key)
    return undefined
  }

  /** Microseconds for which this claim is refused; 0 when it has to be asked for. */
  #wait(entry: Entry, { policy, cost }: Claim, nowUs: number): number {
    const used = usedTicks(policy, nowUs, entry.fullAtUs, 0, policy.toleranceUs)
    const taken = waitTicks(policy, used + entry.inFlightTicks, cost) / policy.ticksPerUs
    const floor = entry.floorUntilUs - nowUs
    if (taken > 0 || floor > 0) return Math.max(taken, floor)
    if (entry.inFlight >= entry.window) return 1
    // Full, asked of nobody, and free of a floor: it is as if it were not known.
    if (used === 0 && entry.inFlight === 0 && entry.window === Number.POSITIVE_INFINITY) {
      this.#entries.delete(entry.key)
    }
    return 0
  }

  #refuse(claims: readonly Claim[], nowUs: number): Decision {
    const verdicts: Verdict[] = []
    const violated: string[] = []
    let retryAfterMs = 0
    for (const claim of claims) {
      const { policy } = claim
      const entry = this.#entryOf(claim)
      if (entry === undefined) continue
      const used = usedTicks(policy, nowUs, entry.fullAtUs, 0, policy.toleranceUs)
      const wait = policy.shadow || claim.cost === 0 ? 0 : this.#wait(entry, claim, nowUs)
      const verdict = verdictOf(claim, wait * policy.ticksPerUs, used)
      verdicts.push(verdict)
      if (wait === 0) continue
      violated.push(policy.name)
      retryAfterMs = Math.max(retryAfterMs, verdict.retryAfterMs)
    }
    return { allowed: false, violated, verdicts, retryAfterMs, source: 'denied-locally', degraded: false }
  }
}

const nobody: Asked = []
