import type { RedisScript } from '@holdfast/redis-guard'
import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { type Claim, claim } from '../src/index.ts'
import { LeasedStore } from '../src/leases.ts'
import { RateLimiter } from '../src/limiter.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { type LimitRedis, RedisStore } from '../src/redis-store.ts'
import { policyOf } from './policy-of.ts'

const three = policyOf('three', '3/minute')
const claims = [claim(three, 'acme', 'all'), claim(three, 'fleet', 'all')]

/** Answers with these, one after the other; an Error rejects. */
function answering(replies: readonly unknown[]): LimitRedis & { readonly ran: string[] } {
  const ran: string[] = []
  return {
    available: true,
    ran,
    key: (...parts) => parts.join(' '),
    async run<Result>(script: RedisScript<Result>, keys: readonly string[]) {
      const reply = replies[ran.length]
      ran.push(`${script.name} ${keys.join()}`)
      if (reply instanceof Error) throw reply
      return (script.decode?.(reply) ?? reply) as Result
    },
  }
}

t.test(
  'Redis lost between two slots: the first gets back what it gave, and the caller the error',
  async (t) => {
    const redis = answering([0, new Error('lost'), 0])
    await t.rejects(new RedisStore(redis).decide(claims, 'consume'), { message: 'lost' })
    t.strictSame(redis.ran, [
      'rate-limit-take-1 tenant-rate-limit acme three all',
      'rate-limit-take-1 tenant-rate-limit fleet three all',
      'rate-limit-refund tenant-rate-limit acme three all',
    ])
  },
)

t.test('Redis lost after a refusal: the refusal stands', async (t) => {
  const redis = answering([three.toleranceTicks, new Error('lost')])
  const decision = await new RedisStore(redis).decide(claims, 'consume')
  t.match(decision, { allowed: false, violated: ['three'], verdicts: [{ claim: claims[0], allowed: false }] })
  t.equal(decision.verdicts.length, 1)
  t.equal(redis.ran.length, 2, 'nothing was taken that has to go back')
})

t.test('a refund that does not arrive is counted, and disturbs nobody', async (t) => {
  const clock = new HandClock()
  const terms = { leaseMs: 100, maxUnits: 1000, share: 0.1, minPerSecond: 20, strict: false }
  for (const leases of [false, true]) {
    const redis = new RedisStore(answering([0, three.toleranceTicks, new Error('lost')]))
    const store = leases ? new LeasedStore({ store: redis, clock, terms, processes: () => 1 }) : redis
    const limiter = new RateLimiter({ store, clock })
    t.match(await limiter.decide(claims), {
      allowed: false,
      verdicts: [{ allowed: true }, { allowed: false }],
    })
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(limiter.snapshot().refundsLost, 1)
    await limiter.close()
  }
})

t.test('peeking over several slots takes nothing that would have to be given back', async (t) => {
  const redis = answering([0, three.toleranceTicks])
  t.match(await new RedisStore(redis).decide(claims, 'peek'), { allowed: false })
  t.equal(redis.ran.length, 2)
  t.match(redis.ran[0], /peek/)
})

t.test('what costs nothing is not given back', async (t) => {
  const redis = answering([])
  const store = new RedisStore(redis)
  const free: readonly Claim[] = [claim(three, 'acme', 'all', 0)]
  await store.refund(free)
  t.strictSame(redis.ran, [])
})

t.test('the verdicts are those of memory', async (t) => {
  const memory = new MemoryStore({ clock: new HandClock() }).decide(claims.slice(0, 1), 'consume')
  const redis = await new RedisStore(answering([0])).decide(claims.slice(0, 1), 'consume')
  t.strictSame({ ...redis, source: 'memory' }, memory)
})
