import { GuardedRedis } from '@holdfast/redis-guard'
import { seededRandom, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { claim, Policies, type Policy } from '../src/index.ts'
import { catchUpScript, giveBackScript, lendScript } from '../src/lease-script.ts'
import { LEAST_LOAN, loanUnits, returnedTicks } from '../src/lease-terms.ts'
import { RedisStore, redisKeyOf } from '../src/redis-store.ts'
import { debitTicks, fullAtPs, fullAtUs, usedTicks } from '../src/token-bucket.ts'
import { policyOf } from './policy-of.ts'
import { TIME_KEY, timedScript } from './timed-script.ts'

const server = await startRedis()
const guard = new GuardedRedis({ url: server.url, budgetMs: 5000 })
await guard.ready(10_000)
t.teardown(async () => {
  await guard.close()
  await server.stop()
})

/** In 2033, so that no key of a trace expires while it runs. */
const BASE_US = 2_000_000_000_000_000

const lend = timedScript(lendScript)
const giveBack = timedScript(giveBackScript)
const catchUp = timedScript(catchUpScript)

const limits = [
  '10/minute',
  '100 per 60s burst 100 refill 2/s',
  '7/s',
  '1000000/s burst 5000',
  '3000000/s burst 1000',
  '700000000/s burst 999999999',
  '3 per 300d',
  '0.3/s burst 11',
]

t.test('JavaScript and Lua lend, take back and catch up alike, to the tick', async (t) => {
  const random = seededRandom()
  random.announce(t)
  for (let trace = 0; trace < 6; trace += 1) {
    const policies = new Policies({ policies: { p: random.pick(limits) } })
    const key = guard.key('trace', `${random.seed}`, `${trace}`)
    const answers: unknown[] = []
    const wanted: unknown[] = []
    let stored: [number, number, number] | undefined
    let nowUs = BASE_US + random.int(0, 1_000_000)
    for (let step = 0; step < 100; step += 1) {
      if (random.next() < 0.03) policies.update({ policies: { p: random.pick(limits) } })
      const policy = policies.get('p') as Policy
      const { toleranceTicks, ticksPerUs, toleranceUs, emissionTicks, capacity } = policy
      const terms = [toleranceTicks, ticksPerUs, toleranceUs]
      const leap = random.next() < 0.05 ? -1 : 1
      const span = random.pick([0, 1, policy.emissionUs, toleranceUs])
      nowUs = Math.max(BASE_US, nowUs + leap * Math.floor(random.next() * span))
      await guard.call('SET', TIME_KEY, nowUs)
      const used = stored === undefined ? 0 : usedTicks(policy, nowUs, ...stored)
      const store = (after: number) => {
        stored =
          after > 0 ? [fullAtUs(policy, nowUs, after), fullAtPs(policy, after), toleranceUs] : undefined
      }
      const units = random.pick([1, 2, 3, Math.ceil(capacity / 3), capacity])
      switch (random.pick(['lend', 'give back', 'catch up'])) {
        case 'lend': {
          const [want, held] = [units, random.int(0, 3)]
          const portion = random.pick([0.1, 0.1 / 8, 1 / 3, 0.7, 1])
          const loan = loanUnits(policy, used, want, held, portion)
          const after = used + debitTicks(policy, loan)
          wanted.push({ units: loan, usedTicks: after, atUs: nowUs })
          if (loan > 0) store(after)
          answers.push(
            await guard.run(lend, [key], [want, held, portion, emissionTicks, ...terms, LEAST_LOAN]),
          )
          break
        }
        case 'give back': {
          const ageUs = Math.floor(random.next() * random.pick([0, policy.emissionUs, toleranceUs]))
          const atUs = nowUs - ageUs + random.pick([0, 0, 1000])
          const leastAgeUs = random.pick([0, ageUs])
          const unused = debitTicks(policy, units)
          const back = Math.min(used, returnedTicks(policy, unused, Math.max(nowUs - atUs, leastAgeUs)))
          wanted.push(back)
          if (back > 0) store(used - back)
          answers.push(await guard.run(giveBack, [key], [unused, atUs, leastAgeUs, ...terms]))
          break
        }
        default: {
          const known = Math.floor(random.next() * toleranceTicks)
          const taken = debitTicks(policy, units)
          const after = Math.min(Math.max(used, known) + taken, toleranceTicks)
          wanted.push(after)
          store(after)
          answers.push(await guard.run(catchUp, [key], [known, taken, ...terms]))
        }
      }
      answers.push(String(await guard.call('GET', key)))
      const [us = 0, ps = 0, tolerance] = stored ?? []
      const text = `${String(us).padStart(16, '0')}${String(ps).padStart(6, '0')}${tolerance}`
      wanted.push(stored === undefined ? 'null' : text)
    }
    t.strictSame(answers, wanted, 'the answers, and what is kept after each')
  }
})

t.test('a loan is taken from the bucket that requests draw on, and comes back to it', async (t) => {
  const store = new RedisStore(guard)
  const one = claim(policyOf('ten', '10/day'), 'acme', 'lent')
  const left = async () => (await store.decide([{ ...one, cost: 0 }], 'peek')).verdicts[0]?.remaining
  const loan = await store.lend(one, 4, 0, 0.5)
  t.match(loan, { units: 4 })
  t.equal(await left(), 6)
  t.match(await store.lend(one, 4, 0, 0.5), { units: 3 }, 'no more than its part of what is there')
  t.equal(await left(), 3)
  t.match(await store.lend(one, 4, 3, 0.5), { units: 0 }, 'what is held counts')
  t.equal(await left(), 3)
  const back = await store.giveBack(one, 4, loan.atUs, 0)
  t.ok(back > 3.99 * one.policy.emissionTicks && back <= 4 * one.policy.emissionTicks)
  t.equal(await left(), 7)
  t.equal(
    await store.giveBack(one, 4, loan.atUs, one.policy.emissionUs * 4),
    0,
    'held so long it is worth nothing',
  )
  t.equal(await left(), 7)
})

t.test('a store that has forgotten a bucket is told what was known of it', async (t) => {
  const store = new RedisStore(guard)
  const one = claim(policyOf('ten', '10/day'), 'acme', 'forgotten')
  const { emissionTicks } = one.policy
  const left = async () => (await store.decide([{ ...one, cost: 0 }], 'peek')).verdicts[0]?.remaining
  await store.catchUp(one, 3 * emissionTicks, 2 * emissionTicks)
  t.equal(await left(), 5)
  await store.catchUp(one, 3 * emissionTicks, 0)
  t.equal(await left(), 5, 'what is known is not taken again')
  await store.catchUp(one, 0, 100 * emissionTicks)
  t.equal(await left(), 0)
  t.ok(((await guard.call('PTTL', redisKeyOf(guard, one))) as number) <= 86_400_002, 'no emptier than empty')
})
