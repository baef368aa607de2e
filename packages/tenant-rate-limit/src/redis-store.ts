/* Buckets in Redis, by its clock: one script call for each slot that a request draws on. */
import type { RedisGuard } from '@holdfast/redis-guard'
import { peekScripts, refundScript, takeScripts } from './bucket-script.ts'
import type { Claim } from './claim.ts'
import { ClaimsError } from './errors.ts'
import type { CatchingUp } from './fallback.ts'
import { catchUpScript, giveBackScript, type Loan, lendScript } from './lease-script.ts'
import { LEAST_LOAN } from './lease-terms.ts'
import type { LendingStore } from './leases.ts'
import type { Policy } from './policy.ts'
import { type Decision, decisionOf } from './store.ts'
import { debitTicks } from './token-bucket.ts'

const PACKAGE = 'tenant-rate-limit'

/** What the store needs of a `RedisGuard`. */
export type LimitRedis = Pick<RedisGuard, 'available' | 'run' | 'key'>

/** The key of a claim's bucket in Redis. */
export function redisKeyOf(redis: Pick<RedisGuard, 'key'>, { policy, slotTag, scope }: Claim): string {
  return redis.key(PACKAGE, slotTag, policy.name, scope)
}

export class RedisStore implements LendingStore, CatchingUp {
  readonly #redis: LimitRedis
  #refundsLost = 0

  constructor(redis: LimitRedis) {
    this.#redis = redis
  }

  get available(): boolean {
    return this.#redis.available
  }

  get refundsLost(): number {
    return this.#refundsLost
  }

  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<Decision> {
    if (!sharesTag(claims)) return this.#decideSlots(claims, mode)
    return this.#ask(claims, mode).then((used) => decisionOf(claims, used, mode, 'redis'))
  }

  async refund(claims: readonly Claim[]): Promise<void> {
    const taken = claims.filter(({ cost }) => cost > 0)
    await Promise.all(taken.map((claim) => this.#refund(claim, debitTicks(claim.policy, claim.cost))))
  }

  async forget(claims: readonly Claim[]): Promise<void> {
    await Promise.all(claims.map((claim) => this.#refund(claim, claim.policy.toleranceTicks)))
  }

  lend(claim: Claim, want: number, held: number, portion: number): Promise<Loan> {
    const { unit, tolerance, ticks, us } = termsOf(claim.policy)
    const args = [want, held, portion, unit, tolerance, ticks, us, LEAST_LOAN]
    return this.#redis.run(lendScript, [redisKeyOf(this.#redis, claim)], args)
  }

  giveBack(claim: Claim, units: number, atUs: number, ageUs: number): Promise<number> {
    const { tolerance, ticks, us } = termsOf(claim.policy)
    const args = [debitTicks(claim.policy, units), atUs, ageUs, tolerance, ticks, us]
    return this.#redis.run(giveBackScript, [redisKeyOf(this.#redis, claim)], args)
  }

  catchUp(claim: Claim, knownTicks: number, takenTicks: number): Promise<number> {
    const { tolerance, ticks, us } = termsOf(claim.policy)
    const args = [knownTicks, takenTicks, tolerance, ticks, us]
    return this.#redis.run(catchUpScript, [redisKeyOf(this.#redis, claim)], args)
  }

  async close(): Promise<void> {}

  /** Slot by slot. After a refusal the others are only looked at, so that it says all that refuses, and until when. */
  async #decideSlots(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<Decision> {
    const used: number[] = []
    const taken: Claim[] = []
    let refused = false
    try {
      for (const places of placesBySlotTag(claims)) {
        const group = places.map((place) => claims[place] as Claim)
        const before = await this.#ask(group, refused ? 'peek' : mode)
        for (const [at, place] of places.entries()) used[place] = before[at] as number
        const { allowed, verdicts } = decisionOf(group, before, mode, 'redis')
        if (!allowed && !refused) {
          refused = true
          this.#undo(taken.splice(0))
        }
        if (!refused && mode === 'consume') {
          taken.push(...group.filter((_, at) => verdicts[at]?.allowed === true))
        }
      }
    } catch (error) {
      // A refusal stands, whatever the others would have said.
      if (refused)
        return decisionOf(
          claims.filter((_, at) => used[at] !== undefined),
          Object.values(used),
          mode,
          'redis',
        )
      this.#undo(taken)
      // What the slots before it have taken may not come back either.
      if (taken.length > 0) Object.assign(error as Error, { mayHaveRun: true })
      throw error
    }
    return decisionOf(claims, used, mode, 'redis')
  }

  /**
   * Nobody waits for it. Nearly always Redis has it before what this process asks next; where a batch has left before,
   * or Redis has to be sent the script first, a request finds the units gone for a moment longer.
   */
  #undo(claims: readonly Claim[]): void {
    if (claims.length === 0) return
    this.refund(claims).catch(() => {
      this.#refundsLost += 1
    })
  }

  #ask(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<readonly number[]> {
    const script = (mode === 'consume' ? takeScripts : peekScripts)[claims.length - 1]
    if (script === undefined) return Promise.reject(new ClaimsError(claims.length))
    const keys: string[] = []
    const args: string[] = []
    for (const claim of claims) {
      const { policy, cost } = claim
      const terms = termsOf(policy)
      keys.push(redisKeyOf(this.#redis, claim))
      args.push(
        cost === 1 ? terms.unit : String(debitTicks(policy, cost)),
        terms.tolerance,
        terms.ticks,
        terms.us,
      )
      if (claims.length > 1) args.push(policy.shadow ? '1' : '0')
    }
    return this.#redis.run(script, keys, args)
  }

  #refund(claim: Claim, ticks: number): Promise<number> {
    const { tolerance, ticks: perUs, us } = termsOf(claim.policy)
    return this.#redis.run(refundScript, [redisKeyOf(this.#redis, claim)], [ticks, tolerance, perUs, us])
  }
}

/** The terms of a policy as the scripts take them. Texts: to make them of such large numbers anew is slow. */
interface TermTexts {
  readonly unit: string
  readonly tolerance: string
  readonly ticks: string
  readonly us: string
}

const texts = new WeakMap<Policy, TermTexts>()

function termsOf(policy: Policy): TermTexts {
  let terms = texts.get(policy)
  if (terms === undefined) {
    const { emissionTicks, toleranceTicks, ticksPerUs, toleranceUs } = policy
    terms = {
      unit: String(emissionTicks),
      tolerance: String(toleranceTicks),
      ticks: String(ticksPerUs),
      us: String(toleranceUs),
    }
    texts.set(policy, terms)
  }
  return terms
}

function sharesTag(claims: readonly Claim[]): boolean {
  const tag = claims[0]?.slotTag
  for (let at = 1; at < claims.length; at += 1) if (claims[at]?.slotTag !== tag) return false
  return true
}

/** The places of the claims of each slot, the slots in the order in which they appear. */
function placesBySlotTag(claims: readonly Claim[]): number[][] {
  const places = new Map<string, number[]>()
  for (const [place, { slotTag }] of claims.entries()) {
    const known = places.get(slotTag)
    if (known === undefined) places.set(slotTag, [place])
    else known.push(place)
  }
  return [...places.values()]
}
