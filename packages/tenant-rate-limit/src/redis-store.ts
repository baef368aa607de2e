/* Buckets in Redis, by its clock: one script call for each slot that a request draws on. */
import type { RedisGuard } from '@holdfast/redis-guard'
import { adjustScript, peekScripts, takeScripts } from './bucket-script.ts'
import type { Claim } from './claim.ts'
import { ClaimsError } from './errors.ts'
import { type Decision, decisionOf, type LimitStore } from './store.ts'
import { debitTicks } from './token-bucket.ts'

const PACKAGE = 'tenant-rate-limit'

/** What the store needs of a `RedisGuard`. */
export type LimitRedis = Pick<RedisGuard, 'available' | 'run' | 'key'>

/** The key of a claim's bucket in Redis. */
export function redisKeyOf(redis: Pick<RedisGuard, 'key'>, { policy, slotTag, scope }: Claim): string {
  return redis.key(PACKAGE, slotTag, policy.name, scope)
}

export class RedisStore implements LimitStore {
  readonly #redis: LimitRedis
  #refundsLost = 0

  constructor(redis: LimitRedis) {
    this.#redis = redis
  }

  get available(): boolean {
    return this.#redis.available
  }

  async decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<Decision> {
    if (sharesTag(claims)) return decisionOf(claims, await this.#ask(claims, mode), mode, 'redis')
    return this.#decideSlots(claims, mode)
  }

  async refund(claims: readonly Claim[]): Promise<void> {
    await this.#adjust(claims, -1)
  }

  async charge(claims: readonly Claim[]): Promise<void> {
    await this.#adjust(claims, 1)
  }

  async forget(claims: readonly Claim[]): Promise<void> {
    await Promise.all(claims.map((claim) => this.#run(adjustScript, claim, -claim.policy.toleranceTicks)))
  }

  async close(): Promise<void> {}

  /** Refunds that did not reach Redis, so that more is used than was let pass. */
  snapshot(): { readonly refundsLost: number } {
    return { refundsLost: this.#refundsLost }
  }

  /** Slot by slot; what comes after a refusal is not asked, and has no verdict. */
  async #decideSlots(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<Decision> {
    const used = new Map<Claim, number>()
    const taken: Claim[] = []
    let refused = false
    try {
      for (const group of bySlotTag(claims)) {
        const before = await this.#ask(group, mode)
        for (const [at, claim] of group.entries()) used.set(claim, before[at] as number)
        const { allowed, verdicts } = decisionOf(group, before, mode, 'redis')
        if (!allowed) {
          refused = true
          break
        }
        if (mode === 'consume') taken.push(...group.filter((_, at) => verdicts[at]?.allowed === true))
      }
    } catch (error) {
      this.#giveBack(taken)
      throw error
    }
    if (refused) this.#giveBack(taken)
    const asked = claims.filter((claim) => used.has(claim))
    return decisionOf(
      asked,
      asked.map((claim) => used.get(claim) as number),
      mode,
      'redis',
    )
  }

  /** Nobody waits for it: whatever this process asks next comes to Redis after it. */
  #giveBack(claims: readonly Claim[]): void {
    if (claims.length === 0) return
    this.#adjust(claims, -1).catch(() => {
      this.#refundsLost += claims.length
    })
  }

  #ask(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<readonly number[]> {
    const script = (mode === 'consume' ? takeScripts : peekScripts)[claims.length - 1]
    if (script === undefined) throw new ClaimsError(claims.length)
    const keys: string[] = []
    const args: (string | number)[] = []
    for (const claim of claims) {
      const { policy, cost } = claim
      keys.push(redisKeyOf(this.#redis, claim))
      args.push(debitTicks(policy, cost), policy.toleranceTicks, policy.ticksPerUs, policy.toleranceUs)
      if (claims.length > 1) args.push(policy.shadow ? 1 : 0)
    }
    return this.#redis.run(script, keys, args)
  }

  async #adjust(claims: readonly Claim[], sign: 1 | -1): Promise<void> {
    await Promise.all(
      claims
        .filter(({ cost }) => cost > 0)
        .map((claim) => this.#run(adjustScript, claim, sign * debitTicks(claim.policy, claim.cost))),
    )
  }

  #run(script: typeof adjustScript, claim: Claim, ticks: number): Promise<number> {
    const { toleranceTicks, ticksPerUs, toleranceUs } = claim.policy
    return this.#redis.run(
      script,
      [redisKeyOf(this.#redis, claim)],
      [ticks, toleranceTicks, ticksPerUs, toleranceUs],
    )
  }
}

function sharesTag(claims: readonly Claim[]): boolean {
  const tag = claims[0]?.slotTag
  for (let at = 1; at < claims.length; at += 1) if (claims[at]?.slotTag !== tag) return false
  return true
}

function bySlotTag(claims: readonly Claim[]): Claim[][] {
  return [...Map.groupBy(claims, ({ slotTag }) => slotTag).values()]
}
