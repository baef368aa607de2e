import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { DenyCache } from '../src/deny-cache.ts'
import { LocalFallback } from '../src/fallback.ts'
import { type Claim, claim, type Decision } from '../src/index.ts'
import { RateLimiter } from '../src/limiter.ts'
import { MemoryStore } from '../src/memory-store.ts'
import type { LimitStore } from '../src/store.ts'
import { policyOf } from './policy-of.ts'

/** A store that has to be asked, and can be lost. */
class RemoteStore implements LimitStore {
  available = true
  asked = 0
  refundsFail = false
  /** Whether questions are answered. */
  failing = false
  /** Answers wait for it. */
  gate: Promise<void> | undefined
  readonly #inner: MemoryStore

  constructor(clock: HandClock) {
    this.#inner = new MemoryStore({ clock })
  }

  async decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Promise<Decision> {
    this.asked += 1
    if (this.failing) throw new Error('no answer')
    const decision: Decision = { ...this.#inner.decide(claims, mode), source: 'redis' }
    await this.gate
    return decision
  }

  async refund(claims: readonly Claim[]): Promise<void> {
    if (this.refundsFail) throw new Error('no answer')
    this.#inner.refund(claims)
  }

  async forget(claims: readonly Claim[]): Promise<void> {
    this.#inner.forget(claims)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

function remote(withFallback = true) {
  const clock = new HandClock()
  const store = new RemoteStore(clock)
  const limiter = new RateLimiter({
    store,
    clock,
    denyCache: new DenyCache(),
    fallback: withFallback ? new LocalFallback({ clock }) : undefined,
  })
  return { clock, store, limiter }
}

const three = policyOf('three', '3/minute')
const shadow = policyOf('shadow', '1/minute shadow')
const one = [claim(three, 'acme', 'all')]

t.test('what memory answers comes without a promise', async (t) => {
  const clock = new HandClock()
  const limiter = new RateLimiter({ store: new MemoryStore({ clock }), clock })
  for (const allowed of [true, true, true, false]) {
    const decision = limiter.decide(one)
    t.notOk(decision instanceof Promise)
    t.match(decision, { allowed, source: 'memory', degraded: false })
  }
  t.match(limiter.snapshot(), {
    storeAvailable: true,
    decisions: { memory: 4, redis: 0 },
    policies: { three: { allowed: 3, denied: 1, nearLimit: 1, shadowDenied: 0 } },
  })
  await limiter.close()
})

t.test('a store is asked until it refuses; then nobody is, and nothing is awaited', async (t) => {
  const { store, limiter, clock } = remote()
  for (const _ of one.concat(one, one)) t.match(await limiter.decide(one), { allowed: true, source: 'redis' })
  t.equal(store.asked, 3)
  for (let again = 0; again < 100; again += 1) {
    const decision = limiter.decide(one)
    t.notOk(decision instanceof Promise)
    if (again === 0) t.match(decision, { allowed: false, source: 'denied-locally', violated: ['three'] })
  }
  t.equal(store.asked, 3)
  t.match(limiter.snapshot(), { denyCacheKeys: 1, decisions: { redis: 3, 'denied-locally': 100 } })
  await clock.advance(20_001)
  t.match(await limiter.decide(one), { allowed: true, source: 'redis' })
})

t.test('in a flood, too, a retry after the wait that was told passes', async (t) => {
  const { store, limiter, clock } = remote()
  const minute = policyOf('minute', '60/minute')
  const both = [claim(minute, 'acme', 'all'), claim(policyOf('day', '1000/day'), 'acme', 'all')]
  for (let taken = 0; taken < 60; taken += 1) t.match(await limiter.decide(both), { allowed: true })
  for (let again = 0; again < 10; again += 1) t.match(limiter.decide(both), { source: 'denied-locally' })
  await clock.advance(1100)
  t.match(await store.decide(both, 'consume'), { allowed: true }, 'another process was quicker')
  const refused = await limiter.decide(both)
  t.match(refused, { allowed: false, source: 'redis', violated: ['minute'] })
  const [ofMinute, ofDay] = refused.verdicts
  t.equal(ofMinute?.retryAfterMs, refused.retryAfterMs, 'the policy that refused says the same')
  t.equal(ofDay?.retryAfterMs, 0)
  const waits = Math.ceil(refused.retryAfterMs / 1000) * 1000
  await clock.advance(waits)
  t.match(await limiter.decide(both), { allowed: true }, `after ${waits} ms`)
})

t.test(
  'who comes while the question of a flood is on its way is told the pause that its refusal begins',
  async (t) => {
    const { store, limiter, clock } = remote()
    const minute = [claim(policyOf('minute', '60/minute'), 'acme', 'all')]
    const flood = () => {
      for (let again = 0; again < 10; again += 1)
        t.match(limiter.decide(minute), { source: 'denied-locally' })
    }
    /** All that has come back goes to another process. */
    const others = async () => {
      while ((await store.decide(minute, 'consume')).allowed);
    }
    await others()
    t.match(await limiter.decide(minute), { allowed: false, source: 'redis' })
    flood()
    await clock.advance(5500)
    await others()
    const gate = Promise.withResolvers<void>()
    store.gate = gate.promise
    const probe = limiter.decide(minute)
    const meanwhile = await limiter.decide(minute)
    t.match(meanwhile, { allowed: false, source: 'denied-locally' })
    gate.resolve()
    t.match(await probe, { allowed: false, source: 'redis' })
    const waits = Math.ceil(meanwhile.retryAfterMs / 1000) * 1000
    await clock.advance(waits)
    t.match(await limiter.decide(minute), { allowed: true, source: 'redis' }, `after ${waits} ms`)
  },
)

t.test('what can never be taken gets no time from a pause', async (t) => {
  const { limiter } = remote()
  const large = [claim(three, 'acme', 'all', 4)]
  for (const source of ['redis', 'denied-locally'] as const) {
    t.match(await limiter.decide(large), { source, retryAfterMs: Number.POSITIVE_INFINITY })
  }
})

t.test('without a deny cache every request is asked for', async (t) => {
  const clock = new HandClock()
  const store = new RemoteStore(clock)
  const limiter = new RateLimiter({ store, clock })
  for (let again = 0; again < 10; again += 1) await limiter.decide(one)
  t.equal(store.asked, 10)
})

t.test('a reservation is kept, or given back once', async (t) => {
  const { limiter, store } = remote()
  const reserved = async () => (await limiter.decide(one, { reserve: true })).reservation
  const [first, second] = [await reserved(), await reserved()]
  if (first === undefined || second === undefined) throw new Error('nothing was reserved')
  limiter.settle(first, 'keep')
  limiter.settle(first, 'refund')
  limiter.settle(second, 'refund')
  limiter.settle(second, 'refund')
  t.equal((await limiter.decide(one, { peek: true })).verdicts[0]?.remaining, 2)
  await reserved()
  const last = await reserved()
  t.equal((await limiter.decide(one)).allowed, false)
  if (last === undefined) throw new Error('nothing was reserved')
  limiter.settle(last, 'refund')
  t.equal((await limiter.decide(one)).allowed, true, 'a refusal that is remembered does not stand in the way')
  t.equal((await limiter.decide(one, { reserve: true })).reservation, undefined, 'a refusal reserves nothing')
  store.refundsFail = true
  limiter.settle({ claims: one, store }, 'refund')
  limiter.settle({ claims: [], store }, 'refund')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(limiter.snapshot().refundsLost, 1)
})

t.test('what a shadow policy did not have is not given back to it', async (t) => {
  const clock = new HandClock()
  const limiter = new RateLimiter({ store: new MemoryStore({ clock }), clock })
  const claims = [claim(shadow, 'acme', 'all'), ...one]
  const taken = async () => {
    const { reservation } = await limiter.decide(claims, { reserve: true })
    return reservation?.claims.map(({ policy }) => policy.name)
  }
  t.strictSame(await taken(), ['shadow', 'three'])
  t.strictSame(await taken(), ['three'])
  t.match(limiter.snapshot().policies, { shadow: { allowed: 1, shadowDenied: 1, denied: 0 } })
})

t.test('peeking is not counted and takes nothing', async (t) => {
  const { limiter } = remote()
  for (let again = 0; again < 5; again += 1) {
    const decision = await limiter.decide(one, { peek: true, reserve: true })
    t.match(decision, { allowed: true, verdicts: [{ remaining: 3 }] })
    t.equal(decision.reservation, undefined)
  }
  t.strictSame(limiter.snapshot().policies, {})
})

t.test('peeks on their way, or refused, change nothing for requests', async (t) => {
  const { store, limiter, clock } = remote()
  const minute = [claim(policyOf('minute', '60/minute'), 'acme', 'all')]
  for (let taken = 0; taken < 60; taken += 1) await limiter.decide(minute)
  await clock.advance(1100)
  await store.decide(minute, 'consume')
  t.match(await limiter.decide(minute), { allowed: false, source: 'redis' }, 'one at a time from now on')
  await clock.advance(1000)
  const peek = limiter.decide(minute, { peek: true })
  t.ok(peek instanceof Promise)
  const request = limiter.decide(minute)
  t.ok(request instanceof Promise, 'a peek takes no place')
  t.match(await Promise.all([peek, request]), [{ allowed: true }, { allowed: true }])
  for (let again = 0; again < 100; again += 1) {
    t.match(limiter.decide(minute, { peek: true }), { source: 'denied-locally' })
  }
  await clock.advance(1000)
  await store.decide(minute, 'consume')
  const refused = await limiter.decide(minute)
  t.match(refused, { allowed: false, source: 'redis' })
  t.ok(refused.retryAfterMs <= 1000, 'peeks are no flood')
})

t.test('a lost store is replaced at once; one that fails is not asked a second time', async (t) => {
  const { limiter, store, clock } = remote()
  store.failing = true
  t.match(await limiter.decide(one), { allowed: true, source: 'fallback', degraded: true })
  t.equal(store.asked, 1)
  store.available = false
  const decision = limiter.decide(one, { reserve: true })
  t.notOk(decision instanceof Promise)
  t.match(decision, { allowed: true, source: 'fallback', degraded: true })
  const { reservation } = await decision
  if (reservation === undefined) throw new Error('nothing was reserved')
  limiter.settle(reservation, 'refund')
  for (const allowed of [true, true, false]) t.match(limiter.decide(one), { allowed, source: 'fallback' })
  t.equal(store.asked, 1)
  store.available = true
  store.failing = false
  t.match(await limiter.decide(one), { allowed: true, source: 'redis' })
  t.match(limiter.snapshot(), { storeFailures: 1, decisions: { fallback: 5, redis: 1 } })
  t.equal(clock.pendingTimers, 0)
  await limiter.close()
})

t.test('policies say what happens without the store', async (t) => {
  const { limiter, store } = remote()
  store.available = false
  const open = [claim(policyOf('open', { limit: '1/minute', onStoreLoss: 'open' }), 'acme', 'all')]
  const closed = [claim(policyOf('closed', { limit: '1/minute', onStoreLoss: 'closed' }), 'acme', 'all')]
  for (let again = 0; again < 5; again += 1) t.match(limiter.decide(open), { allowed: true, degraded: true })
  t.match(limiter.decide(closed), { allowed: false, violated: ['closed'], degraded: true })
  t.match(limiter.decide([...one, ...closed]), { allowed: false, violated: ['closed'] })
  t.match(limiter.decide([...one, ...open]), { allowed: true })
})

t.test("without a fallback the error of the store is the caller's", async (t) => {
  const { limiter, store } = remote(false)
  store.failing = true
  await t.rejects(async () => limiter.decide(one), { message: 'no answer' })
  t.equal(limiter.snapshot().storeFailures, 1)
  store.failing = false
  t.match(await limiter.decide(one), { allowed: true })
})

t.test('buckets can be filled', async (t) => {
  const { limiter } = remote()
  for (let taken = 0; taken < 4; taken += 1) await limiter.decide(one)
  t.equal((await limiter.decide(one)).allowed, false)
  await limiter.forget(one)
  t.match(await limiter.decide(one), { allowed: true, verdicts: [{ remaining: 2 }] })
})

t.test('a request draws on 1 to 16 buckets', async (t) => {
  const { limiter } = remote()
  for (const count of [0, 17]) {
    t.throws(() => limiter.decide(Array.from({ length: count }, (_, at) => claim(three, 'acme', `${at}`))), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_CLAIMS',
    })
  }
  t.equal(
    (await limiter.decide(Array.from({ length: 16 }, (_, at) => claim(three, 'acme', `${at}`)))).allowed,
    true,
  )
})
