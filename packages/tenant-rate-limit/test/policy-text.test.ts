import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { parseLimit, strictLimit } from '../src/policy-text.ts'
import { policyOf } from './policy-of.ts'

t.test('reads limits as people write them', async (t) => {
  for (const [text, capacity, perSecond, windowSeconds] of [
    ['10/minute', 10, 10 / 60, 60],
    ['10 / min', 10, 10 / 60, 60],
    ['10/m', 10, 10 / 60, 60],
    ['10/60s', 10, 10 / 60, 60],
    ['10 per 60 seconds', 10, 10 / 60, 60],
    ['  10 PER Minute ', 10, 10 / 60, 60],
    ['5/s', 5, 5, 1],
    ['5 per 500ms', 5, 10, 0.5],
    ['1000/hour', 1000, 1000 / 3600, 3600],
    ['1/day', 1, 1 / 86_400, 86_400],
    ['100 per 60s burst 100 refill 2/s', 100, 2, 60],
    ['100 per 60s refill 2/s burst 50', 50, 2, 60],
    ['100 per 60s refill 2/s', 100, 2, 60],
    ['100 per 60s burst 1', 1, 100 / 60, 60],
    ['0.5/s burst 2', 2, 0.5, 1],
    ['0.5/s', 1, 0.5, 1],
    ['100/minute refill 1 per 2s', 100, 0.5, 60],
    ['100/minute refill 0.25/s', 100, 0.25, 60],
    ['1000000000/s', 1_000_000_000, 1_000_000_000, 1],
  ] as const) {
    const policy = policyOf('p', text)
    t.strictSame(
      [policy.capacity, policy.windowSeconds, policy.strict, policy.shadow],
      [capacity, windowSeconds, false, false],
      text,
    )
    t.ok(Math.abs(policy.refillPerSecond - perSecond) < 1e-9, text)
    t.ok(Math.abs(policy.emissionUs * perSecond - 1e6) <= 1e3, text)
  }
  t.equal(policyOf('p', '10/minute shadow').shadow, true)
  t.match(policyOf('p', '10/minute strict shadow'), { shadow: true, strict: true })
})

t.test('everything else is no limit', async (t) => {
  for (const text of [
    '',
    '10',
    'ten/minute',
    '10/fortnight',
    '10/constructor',
    '-1/s',
    '1e3/s',
    '10/minute burst',
    '10/minute burst 1.5',
    '10/minute quickly',
    '10/minute strict strict',
    '10/minute burst 5 burst 5',
    '10/minute refill 2',
    '10/minute refill 2/fortnight',
    '10/minuteburst 5',
    '0.5/minute strict',
    '10/minute strict refill 1/s',
    `${'1'.repeat(11)}/s`,
    '1.0000000/s',
  ]) {
    t.equal(parseLimit(text), undefined, text)
  }
})

t.test('a strict limit computes a capacity and a refill that no window exceeds', async (t) => {
  const MINUTE_US = 60_000_000
  t.strictSame(strictLimit(10, MINUTE_US), {
    capacity: 5,
    refill: { units: 6, us: MINUTE_US },
    windowUs: MINUTE_US,
    strict: true,
  })
  t.match(strictLimit(1, MINUTE_US), { capacity: 1, refill: { units: 1 } })
  t.match(strictLimit(10, MINUTE_US, 1), { capacity: 1, refill: { units: 10 } })
  t.match(strictLimit(10, MINUTE_US, 50), { capacity: 10, refill: { units: 1 } })
  t.match(policyOf('p', '10/minute strict burst 3'), { capacity: 3, strict: true })
})

t.test('no window of a strict limit ever sees more than the quota, whenever it begins', async (t) => {
  const { debitTicks, fullAtPs, fullAtUs, usedTicks, waitTicks } = await import('../src/token-bucket.ts')
  const random = seededRandom()
  random.announce(t)
  for (const [quota, text] of [
    [1, '1/s strict'],
    [2, '2/s strict'],
    [5, '5 per 15m strict'],
    [10, '10/minute strict burst 1'],
    [10, '10/minute strict burst 10'],
    [1000, '1000/s strict'],
    [3, '3 per 7m strict burst 2'],
  ] as const) {
    const policy = policyOf('p', text)
    const windowUs = policy.windowSeconds * 1_000_000
    let stored: [number, number, number] | undefined
    let nowUs = 0
    const taken: { atUs: number; cost: number }[] = []
    for (let asked = 0; asked < 3000; asked += 1) {
      // Also at the very instants at which something comes back.
      nowUs += random.pick([0, 1, Math.ceil(policy.emissionUs), Math.floor((random.next() * windowUs) / 3)])
      const cost = random.pick([1, 1, policy.capacity])
      const used = stored === undefined ? 0 : usedTicks(policy, nowUs, ...stored)
      if (waitTicks(policy, used, cost) > 0) continue
      const after = used + debitTicks(policy, cost)
      stored = [fullAtUs(policy, nowUs, after), fullAtPs(policy, after), policy.toleranceUs]
      taken.push({ atUs: nowUs, cost })
    }
    let most = 0
    for (const [at, first] of taken.entries()) {
      const within = taken.slice(at).filter(({ atUs }) => atUs - first.atUs < windowUs)
      most = Math.max(
        most,
        within.reduce((sum, { cost }) => sum + cost, 0),
      )
    }
    t.ok(most <= quota, `${text}: ${most}`)
    t.ok(taken.length > 10)
  }
})
