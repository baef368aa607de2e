import { GuardedRedis, type RedisArgument, type RedisScript } from '@holdfast/redis-guard'
import { seededRandom, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { refundScript, takeScripts } from '../src/bucket-script.ts'
import { claim, type Decision, Policies, type Policy } from '../src/index.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { RedisStore, redisKeyOf } from '../src/redis-store.ts'
import { debitTicks, fullAtPs, fullAtUs, isBroken, usedTicks } from '../src/token-bucket.ts'
import { policyOf } from './policy-of.ts'
import { TIME_KEY, timedScript } from './timed-script.ts'

const server = await startRedis()
const guard = new GuardedRedis({ url: server.url, budgetMs: 5000 })
await guard.ready(10_000)
t.teardown(async () => {
  await guard.close()
  await server.stop()
})

const BASE_US = 2_000_000_000_000_000

const takeOne = timedScript(takeScripts[0] as RedisScript<readonly number[]>)
const refund = timedScript(refundScript)

/** Limits of every kind: slow, fast, not a whole number of microseconds, faster than one, changed now and then. */
const limits = [
  '10/minute',
  '100 per 60s burst 100 refill 2/s',
  '7/s',
  '3 per 7m',
  '1000000/s burst 50',
  '3000000/s burst 1000',
  '700000000/s burst 999999999',
  '1/day',
  '3 per 300d',
  '1000 per 30d',
  '9 per 15m strict',
  '0.3/s burst 11',
]

/** A bucket as Redis keeps it. */
function textOf([us, ps, toleranceUs]: readonly number[]): string {
  return `${String(us).padStart(16, '0')}${String(ps).padStart(6, '0')}${toleranceUs}`
}

t.test('JavaScript and Lua agree to the tick on random traces of one bucket', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let trace = 0; trace < 6; trace += 1) {
    const policies = new Policies({ policies: { p: random.pick(limits) } })
    const key = guard.key('trace', `${random.seed}`, `${trace}`)
    const answers: string[] = []
    const wanted: string[] = []
    let stored: [number, number, number] | undefined
    let nowUs = BASE_US + random.int(0, 1_000_000)
    for (let step = 0; step < 100; step += 1) {
      if (random.next() < 0.03) policies.update({ policies: { p: random.pick(limits) } })
      const policy = policies.get('p') as Policy
      const terms = [policy.toleranceTicks, policy.ticksPerUs, policy.toleranceUs]
      // Mostly on; now and then back, as after a failover to a server whose clock is behind.
      const leap = random.next() < 0.05 ? -1 : 1
      const span = random.pick([0, 1, policy.emissionUs, policy.toleranceUs, 2 * policy.toleranceUs])
      nowUs = Math.max(BASE_US, nowUs + leap * Math.floor(random.next() * span))
      await guard.call('SET', TIME_KEY, nowUs)
      const used = stored === undefined ? 0 : usedTicks(policy, nowUs, ...stored)
      const cost = random.pick([0, 1, 1, 1, 2, 3, policy.capacity, policy.capacity + 1])
      const debit = debitTicks(policy, cost)
      const store = (after: number) => {
        stored = [fullAtUs(policy, nowUs, after), fullAtPs(policy, after), policy.toleranceUs]
      }
      if (random.next() < 0.2) {
        const after = used - debit
        if (after > 0) store(after)
        else stored = undefined
        const answer = await guard.run(refund, [key], [debit, ...terms])
        answers.push(`${answer}`)
        wanted.push(`${Math.max(0, after)}`)
      } else {
        const [answer] = await guard.run(takeOne, [key], [debit, ...terms])
        answers.push(`${answer}`)
        wanted.push(`${used}`)
        if (cost > 0 && used + debit <= policy.toleranceTicks) store(used + debit)
        else if (stored !== undefined && isBroken(policy, nowUs, ...stored)) store(used)
      }
      answers.push(String(await guard.call('GET', key)))
      wanted.push(stored === undefined ? 'null' : textOf(stored))
    }
    t.strictSame(answers, wanted, 'the answers, and what is kept after each')
  }
})

/** A `RedisStore` whose scripts read the time that the trace sets. */
function timedStore(): RedisStore {
  const scripts = new Map<unknown, unknown>()
  return new RedisStore({
    available: true,
    key: (...parts) => guard.key(...parts),
    run<Result>(script: RedisScript<Result>, keys: readonly string[], args: readonly RedisArgument[]) {
      const own = (scripts.get(script) ?? timedScript(script)) as RedisScript<Result>
      scripts.set(script, own)
      return guard.run(own, keys, args)
    },
  })
}

/** What a refusal by an earlier slot leaves unasked has no verdict in Redis; the rest must be the same. */
function outcome({ allowed, verdicts }: Decision, asked: number): unknown {
  return { allowed, verdicts: allowed ? verdicts : verdicts.slice(0, asked) }
}

for (const [title, tags, changes] of [
  ['of one slot, while policies change', ['acme'], 0.02],
  ['of several slots', ['acme', 'globex'], 0],
] as const) {
  t.test(`the memory store and Redis decide alike about requests ${title}`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    let nowUs = 0
    const clock = { nowMs: () => nowUs / 1000, wallMs: () => 0, schedule: () => () => {} }
    const memory = new MemoryStore({ clock })
    const redis = timedStore()
    const sets = limits.map((limit) => ({ policies: { p: limit, q: '20/s burst 4', s: '5/minute shadow' } }))
    const policies = new Policies(random.pick(sets))
    let agreed = 0
    for (let step = 0; step < 400; step += 1) {
      if (random.next() < changes) policies.update(random.pick(sets))
      nowUs += Math.floor(random.next() * random.pick([0, 50_000, 2_000_000]))
      await guard.call('SET', TIME_KEY, BASE_US + nowUs)
      const claims = Array.from({ length: random.int(1, 4) }, () =>
        claim(
          policies.get(random.pick(['p', 'q', 's'])) as Policy,
          random.pick(tags),
          `${random.seed} ${tags.length} ${random.pick(['a', 'b'])}`,
          random.pick([0, 1, 1, 1, 2, 3]),
        ),
      ).sort((one, other) => one.slotTag.localeCompare(other.slotTag))
      const mode = random.next() < 0.1 ? 'peek' : 'consume'
      const [expected, answer] = [memory.decide(claims, mode), await redis.decide(claims, mode)]
      const asked = answer.verdicts.length
      const [same, own] = [outcome(expected, asked), outcome(answer, asked)]
      if (JSON.stringify(own) !== JSON.stringify(same)) {
        t.strictSame(own, same, `step ${step}`)
        return
      }
      agreed += 1
      if (answer.allowed && mode === 'consume' && random.next() < 0.1) {
        const taken = claims.filter((_, at) => answer.verdicts[at]?.allowed)
        memory.refund(taken)
        await redis.refund(taken)
      }
    }
    t.equal(agreed, 400)
  })
}

const broken = [
  '9007199254740991000000200000',
  '9007199254740991000000999999',
  'x',
  '',
  '5',
  '2000000000000000000000',
  '1e16',
  '-1',
  'nan',
]

t.test('what is no bucket, or full too late, counts as just emptied: nobody waits longer', async (t) => {
  const store = new RedisStore(guard)
  const policy = policyOf('p', '2 per 200ms')
  const other = claim(policyOf('q', '1000/s'), 'acme', 'whole')
  for (const [at, text] of broken.entries()) {
    for (const beside of [[], [other]]) {
      const one = claim(policy, 'acme', `broken ${at} ${beside.length}`)
      await guard.call('SET', redisKeyOf(guard, one), text)
      const first = await store.decide([one, ...beside], 'consume')
      t.ok(first.retryAfterMs <= 100, `${text}: ${first.retryAfterMs}`)
      t.ok((first.verdicts[0]?.resetMs ?? Number.NaN) <= 200, text)
      const since = performance.now()
      for (let decision = first; !decision.allowed; ) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        const askedMs = performance.now() - since
        decision = await store.decide([one, ...beside], 'consume')
        if (!decision.allowed && askedMs > 210) {
          t.fail(`"${text}" still refuses after ${askedMs} ms`)
          break
        }
      }
    }
  }
})

t.test('a failover to a server whose clock is behind keeps nobody out for longer', async (t) => {
  const store = timedStore()
  const policy = policyOf('p', '10/s')
  const claims = [claim(policy, 'acme', 'behind')]
  await guard.call('SET', TIME_KEY, BASE_US)
  for (let taken = 0; taken < 10; taken += 1) t.equal((await store.decide(claims, 'consume')).allowed, true)
  const behindUs = BASE_US - 300_000_000
  for (const [afterUs, allowed] of [
    [0, false],
    [99_999, false],
    [100_000, true],
    [1_100_000, true],
  ] as const) {
    await guard.call('SET', TIME_KEY, behindUs + afterUs)
    t.equal((await store.decide(claims, 'consume')).allowed, allowed, `${afterUs} us later`)
  }
  t.equal((await store.decide(claims, 'peek')).verdicts[0]?.remaining, 9, 'and it fills as ever')
})

t.test('a key lives until its bucket is full, and a refusal does not touch it', async (t) => {
  const store = new RedisStore(guard)
  const policy = new Policies({ policies: { p: '2/hour' } }).get('p') as Policy
  const one = claim(policy, 'acme', 'expiry')
  const key = redisKeyOf(guard, one)
  for (const expectedMs of [1_800_000, 3_600_000]) {
    t.equal((await store.decide([one], 'consume')).allowed, true)
    const leftMs = Number(await guard.call('PTTL', key))
    t.ok(leftMs > expectedMs - 5000 && leftMs <= expectedMs + 2, `${leftMs}`)
  }
  const before = await guard.call('GET', key)
  const writes = await writesOf()
  for (let asked = 0; asked < 10; asked += 1) {
    t.equal((await store.decide([one, claim(policy, 'acme', 'other')], 'consume')).allowed, false)
    t.equal((await store.decide([one], 'consume')).allowed, false)
  }
  t.equal(await writesOf(), writes, 'nothing was written')
  t.strictSame(await guard.call('GET', key), before)
  t.equal(await guard.call('EXISTS', redisKeyOf(guard, claim(policy, 'acme', 'other'))), 0)
})

t.test('a request that draws on no bucket of Redis, or on too many, is refused', async (t) => {
  const store = new RedisStore(guard)
  const policy = new Policies({ policies: { p: '2/hour' } }).get('p') as Policy
  for (const count of [0, 17]) {
    const claims = Array.from({ length: count }, (_, at) => claim(policy, 'acme', `${at}`))
    await t.rejects(store.decide(claims, 'consume'), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_CLAIMS' })
  }
})

/** How many writes the server has seen since it started. */
async function writesOf(): Promise<number> {
  const info = String(await guard.call('INFO', 'commandstats'))
  const calls = /cmdstat_set:calls=(\d+)/.exec(info)?.[1]
  return Number(calls ?? 0)
}
