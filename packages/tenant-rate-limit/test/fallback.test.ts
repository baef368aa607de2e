import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { LocalFallback, partOfPolicy } from '../src/fallback.ts'
import { type Claim, claim, type Decision, type Policy } from '../src/index.ts'
import { RateLimiter } from '../src/limiter.ts'
import { policyOf } from './policy-of.ts'
import { Bank, excessOf, RemoteBank, runLoad, simulateFleet, steadyLoad } from './simulated-bank.ts'

const hundred = policyOf('hundred', '100/day')
const one = claim(hundred, 'acme', 'all')

/** A limiter before a bank that answers after 1 ms, and that can be lost. */
function limited(own: { processes?: number; maxKeys?: number } = {}) {
  const clock = new HandClock({ nowMs: 7000 })
  const bank = new Bank(clock)
  const remote = new RemoteBank(bank, () => 0.5)
  const fallback = new LocalFallback({
    clock,
    store: remote,
    processes: () => own.processes ?? 1,
    onRecovery: remote.onRecovery,
    maxKeys: own.maxKeys,
  })
  const limiter = new RateLimiter({ store: remote, clock, fallback })
  const decide = async (claims: readonly Claim[] = [one]): Promise<Decision> => {
    const decided = limiter.decide(claims)
    if (decided instanceof Promise) await clock.advance(1)
    return decided
  }
  const take = async (requests: number, claims: readonly Claim[] = [one]) => {
    let passed = 0
    for (let at = 0; at < requests; at += 1) if ((await decide(claims)).allowed) passed += 1
    return passed
  }
  const unitsUsed = (of: Claim = one) => Math.round(bank.usedOf(of) / of.policy.emissionTicks)
  return { clock, bank, remote, fallback, limiter, decide, take, unitsUsed }
}

t.test('begins where the store left off', async (t) => {
  const { remote, take, decide } = limited()
  t.equal(await take(90), 90)
  remote.lose()
  t.match(await decide(), { allowed: true, source: 'fallback', degraded: true, verdicts: [{ remaining: 9 }] })
  t.equal(await take(100), 9)
  const refused = await decide()
  t.match(refused, { allowed: false, violated: ['hundred'], verdicts: [{ claim: one, policy: hundred }] })
  t.ok(refused.retryAfterMs > 0 && refused.retryAfterMs <= 864_000)
})

t.test('a process holds its part of what was left, and no full quota', async (t) => {
  const { remote, take, decide } = limited({ processes: 4 })
  t.equal(await take(20), 20)
  remote.lose()
  t.match(await decide(), { allowed: true, verdicts: [{ remaining: 19 }] })
  t.equal(await take(100), 19)
  const unseen = [claim(hundred, 'globex', 'all')]
  t.match(await decide(unseen), { verdicts: [{ remaining: 24 }] })
  t.equal(await take(100, unseen), 24)
})

t.test('parts make the whole, and hold one unit at least', (t) => {
  const partOf = (text: string, processes: number): Policy => partOfPolicy(policyOf('p', text), processes)
  const sixth = partOf('100/minute', 6)
  t.match(sixth, { capacity: 16 })
  t.equal(sixth.emissionUs, 600_000, 'what is told of the policy stays as it was')
  t.equal(sixth.emissionTicks / sixth.ticksPerUs, 3_600_000)
  t.match(partOf('10/minute', 4), { capacity: 2 })
  t.match(partOf('3/minute', 4), { capacity: 1 })
  const slowest = partOf('1 per 366d', 100)
  t.match(slowest, { capacity: 1, toleranceUs: 366 * 86_400_000_000 })
  const fast = partOf('1000000000/s burst 1000000000', 1000)
  t.equal(fast.capacity, 1_000_000)
  t.ok(Number.isSafeInteger(fast.toleranceTicks))
  t.end()
})

t.test('what a part can never hold is refused, with a time', async (t) => {
  const { remote, decide } = limited({ processes: 4 })
  remote.lose()
  const large = await decide([claim(hundred, 'acme', 'large', 26)])
  t.match(large, { allowed: false, retryAfterMs: 86_400_000 })
  t.match(await decide([claim(hundred, 'acme', 'large', 101)]), { retryAfterMs: Number.POSITIVE_INFINITY })
  t.match(await decide([claim(hundred, 'acme', 'large', 25)]), {
    allowed: true,
    verdicts: [{ remaining: 0 }],
  })
})

t.test('the policies say what happens to them', async (t) => {
  const { remote, decide, take } = limited()
  const open = claim(policyOf('open', { limit: '1/day', onStoreLoss: 'open' }), 'acme', 'all')
  const closed = claim(policyOf('closed', { limit: '1/day', onStoreLoss: 'closed' }), 'acme', 'all')
  const seen = claim(policyOf('seen', { limit: '1/day', shadow: true }), 'acme', 'all')
  const shadowClosed = claim(
    policyOf('shadow', { limit: '1/day', onStoreLoss: 'closed', shadow: true }),
    'acme',
    'all',
  )
  remote.lose()
  t.equal(await take(50, [open]), 50)
  t.match(await decide([open]), { allowed: true, verdicts: [], degraded: true })
  const refused = await decide([one, closed, open])
  t.match(refused, { allowed: false, violated: ['closed'], source: 'fallback', degraded: true })
  t.equal(refused.retryAfterMs, 5000, 'it is not the day that the bucket would take')
  t.match(await decide([one]), { verdicts: [{ remaining: 99 }] }, 'a refusal takes nothing of the others')
  t.match(await decide([shadowClosed, one]), { allowed: true })
  const free = claim(closed.policy, 'acme', 'all', 0)
  t.match(
    await decide([free, one]),
    { allowed: true, verdicts: [{ remaining: 97 }] },
    'who only looks passes',
  )
  t.match(await decide([seen, one]), { allowed: true, violated: [], verdicts: [{ allowed: true }, {}] })
  t.match(await decide([seen, one]), {
    allowed: true,
    violated: [],
    verdicts: [{ allowed: false }, {}],
    retryAfterMs: 0,
  })
})

t.test('the store is told once what was let pass, as soon as it is there again', async (t) => {
  const { remote, take, unitsUsed, bank, clock, fallback, limiter, decide } = limited({ processes: 2 })
  t.equal(await take(10), 10)
  remote.lose()
  t.equal(await take(30), 30)
  t.match(fallback.snapshot(), { owing: 1, told: 0, untold: 0 })
  t.equal(unitsUsed(), 10)
  const calls = bank.calls
  remote.recover()
  // The first request after the recovery comes to the store after what it is told.
  const decision = await decide()
  t.match(decision, { source: 'redis', verdicts: [{ remaining: 59 }] })
  t.equal(unitsUsed(), 41)
  t.equal(bank.calls, calls + 2)
  t.match(fallback.snapshot(), { owing: 0, told: 1, untold: 0 })
  remote.lose()
  remote.recover()
  await clock.advance(1000)
  t.equal(unitsUsed(), 41, 'nothing is taken twice')
  t.equal(limiter.snapshot().fallback?.told, 1)
})

t.test('a bucket stays here for as long as the store was away, a second at most', async (t) => {
  const { remote, decide, take, clock, fallback, unitsUsed } = limited({ processes: 2 })
  for (const [awayMs, staysMs] of [
    [300, 300],
    [5000, 1000],
  ] as const) {
    remote.lose()
    t.equal(await take(3), 3)
    await clock.advance(awayMs)
    remote.recover()
    t.match(await decide(), { source: 'fallback' })
    t.match(
      await decide([claim(hundred, 'globex', 'all')]),
      { source: 'redis' },
      "others are the store's at once",
    )
    await clock.advance(staysMs - 2)
    t.match(await decide(), { source: 'fallback' })
    await clock.advance(1)
    t.match(await decide(), { source: 'redis' })
    await clock.advance(300)
    t.match(fallback.snapshot(), { owing: 0 })
  }
  t.equal(unitsUsed(), 12)
})

t.test('a policy that is closed without the store is open as soon as it is there again', async (t) => {
  const { remote, decide, take, clock, unitsUsed } = limited({ processes: 2 })
  const closed = claim(policyOf('closed', { limit: '9/day', onStoreLoss: 'closed' }), 'acme', 'all')
  remote.lose()
  t.equal(await take(3), 3)
  await clock.advance(5000)
  t.match(await decide([one, closed]), { allowed: false, source: 'fallback' })
  remote.recover()
  const both = await decide([one, closed])
  t.match(both, { allowed: true, source: 'redis', verdicts: [{ remaining: 96 }, { remaining: 8 }] })
  t.match(await decide(), { source: 'fallback' }, 'alone it stays here')
  t.match(
    await decide([one, { ...closed, cost: 0 }]),
    { source: 'fallback' },
    'who takes nothing of the other is not refused here',
  )
  await clock.advance(1300)
  t.equal(unitsUsed(), 6)
})

t.test('what came back meanwhile is not taken any more', async (t) => {
  const fast = claim(policyOf('fast', '100/s'), 'acme', 'all')
  const { remote, take, unitsUsed, clock } = limited()
  remote.lose()
  t.equal(await take(80, [fast]), 80)
  await clock.advance(500)
  t.equal(await take(5, [fast]), 5)
  remote.recover()
  await clock.advance(1)
  const used = unitsUsed(fast)
  t.ok(used >= 34 && used <= 36, `${used} of 85 are taken still`)
  const later = limited()
  later.remote.lose()
  t.equal(await later.take(80, [fast]), 80)
  await later.clock.advance(2000)
  later.remote.recover()
  await later.clock.advance(1)
  t.equal(later.unitsUsed(fast), 0)
})

t.test('what the store may have taken, it is not told', async (t) => {
  const { remote, take, unitsUsed, clock, limiter, fallback } = limited()
  t.equal(await take(10), 10)
  remote.deaf = true
  const lost = [1, 2, 3].map(() => limiter.decide([one]))
  await clock.advance(1)
  t.strictSame(
    (await Promise.all(lost)).map(({ source, verdicts }) => [source, verdicts[0]?.remaining]),
    [89, 88, 87].map((remaining) => ['fallback', remaining]),
  )
  t.equal(unitsUsed(), 13, 'it has taken them')
  remote.lose()
  t.equal(await take(7), 7)
  const mixed = limiter.decide([one])
  t.notOk(mixed instanceof Promise)
  remote.deaf = false
  remote.recover()
  await clock.advance(1)
  t.equal(unitsUsed(), 21)
  t.match(fallback.snapshot(), { owing: 0, told: 1 })
})

t.test('what the store may have taken or heard of is not told again', async (t) => {
  const { remote, take, unitsUsed, clock, limiter } = limited({ processes: 4 })
  remote.lose()
  t.equal(await take(5), 5)
  // It is there again, is told and asked, and no answer arrives.
  remote.deaf = true
  remote.available = true
  const lost = limiter.decide([one])
  await clock.advance(1)
  t.match(await lost, { source: 'fallback' })
  t.equal(unitsUsed(), 6, 'it was told before it was asked')
  remote.deaf = false
  remote.recover()
  await clock.advance(300)
  t.equal(unitsUsed(), 6, 'and neither is told again')
})

t.test('it is told later when it cannot be now, and never again when it may have heard', async (t) => {
  const { remote, take, unitsUsed, clock, fallback } = limited()
  remote.lose()
  t.equal(await take(5), 5)
  remote.recover()
  // Lost again before the telling reaches it.
  remote.lose()
  await clock.advance(1)
  t.match(fallback.snapshot(), { owing: 1, told: 0, untold: 0 })
  t.equal(await take(5), 5)
  remote.available = true
  remote.deaf = true
  await clock.advance(300)
  t.match(fallback.snapshot(), { owing: 0, told: 0, untold: 1 })
  t.equal(unitsUsed(), 10, 'it has heard')
  remote.deaf = false
  remote.recover()
  await clock.advance(1000)
  t.equal(unitsUsed(), 10)
})

t.test('what is let pass while it is told, is owed', async (t) => {
  const { remote, take, unitsUsed, clock, fallback, limiter } = limited()
  remote.lose()
  t.equal(await take(5), 5)
  remote.recover()
  remote.available = false
  t.match(limiter.decide([one]), { source: 'fallback' })
  remote.available = true
  await clock.advance(2)
  t.match(fallback.snapshot(), { owing: 1, told: 1 })
  await clock.advance(300)
  t.match(fallback.snapshot(), { owing: 0, told: 2 })
  t.equal(unitsUsed(), 6)
})

t.test('a store that has lost its data is told what was known', async (t) => {
  const { remote, take, unitsUsed, bank, clock } = limited({ processes: 2 })
  t.equal(await take(40), 40)
  remote.lose()
  bank.clear()
  t.equal(await take(10), 10)
  remote.recover()
  await clock.advance(1)
  t.equal(unitsUsed(), 50)
})

t.test('a reservation goes back to where it counts', async (t) => {
  const { remote, limiter, unitsUsed, clock, decide } = limited()
  remote.lose()
  const reserve = () => {
    const decision = limiter.decide([one], { reserve: true })
    if (decision instanceof Promise || decision.reservation === undefined)
      throw new Error('nothing is reserved')
    return decision.reservation
  }
  const [early, late] = [reserve(), reserve()]
  limiter.settle(early, 'refund')
  t.match(await decide(), { verdicts: [{ remaining: 98 }] })
  remote.recover()
  await clock.advance(1)
  t.equal(unitsUsed(), 2)
  limiter.settle(late, 'refund')
  await clock.advance(1)
  t.equal(unitsUsed(), 1, 'the store was told of it')
  const alone = new LocalFallback({ clock })
  t.match(alone.decide([one], 'consume'), { verdicts: [{ remaining: 99 }] })
  alone.refund([one])
  t.match(alone.decide([one], 'consume'), { verdicts: [{ remaining: 99 }] })
  t.match(alone.snapshot(), { keys: 1, owing: 0, told: 0, untold: 0 })
  await alone.close()
})

t.test('what is owed is bounded', async (t) => {
  const { remote, decide, clock, fallback, bank } = limited({ maxKeys: 10 })
  remote.lose()
  const claims = Array.from({ length: 15 }, (_, at) => claim(hundred, 'acme', `${at}`))
  for (const each of claims) t.match(await decide([each]), { allowed: true })
  t.match(fallback.snapshot(), { owing: 10, untold: 5 })
  remote.recover()
  await clock.advance(1)
  t.match(fallback.snapshot(), { owing: 0, told: 10, untold: 5 })
  t.equal(claims.filter((each) => bank.usedOf(each) > 0).length, 10)
})

t.test('many are told of in waves, and the end tells of the rest', async (t) => {
  const { remote, decide, clock, fallback, limiter, bank } = limited()
  remote.lose()
  const claims = Array.from({ length: 1300 }, (_, at) => claim(hundred, 'acme', `${at}`))
  for (const each of claims) await decide([each])
  const calls = bank.calls
  remote.recover()
  await clock.advance(1)
  t.equal(bank.calls, calls + 512)
  await clock.advance(2)
  t.match(fallback.snapshot(), { owing: 0, told: 1300 })
  remote.lose()
  await decide()
  remote.available = true
  const closing = limiter.close()
  await clock.advance(1)
  await closing
  t.ok(bank.usedOf(one) > 0)
  t.equal(clock.pendingTimers, 0)
})

t.test('an end without the store waits for nobody', async (t) => {
  const { remote, decide, limiter, clock } = limited()
  remote.lose()
  await decide()
  await limiter.close()
  t.equal(clock.pendingTimers, 0)
})

t.test(
  'a fleet that lost its store keeps to what it last had, and to the limit in the long run',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const policy = policyOf('p', '200/s burst 400')
    for (const lease of [false, true]) {
      const terms = { leaseMs: 100, maxUnits: 1000, share: 0.1, minPerSecond: 20, strict: false }
      const bank = new Bank(new HandClock({ nowMs: 1_000_000 }))
      const processes = 8
      const fleet = simulateFleet(bank, { processes, policy, terms: lease ? terms : undefined, random })
      const claims = [claim(policy, 'acme', 'all')]
      const load = (perSecond: number, ms: number) => steadyLoad(random, processes, perSecond, ms)
      const before = await runLoad(bank, fleet, claims, load(2000, 3000))
      const startMs = bank.clock.nowMs()
      for (const { bank: way } of fleet) way.lose()
      const during = await runLoad(bank, fleet, claims, load(2000, 5000))
      const outageMs = bank.clock.nowMs() - startMs
      // All have asked within the last moments: what they knew was true, up to what came back since.
      const [staleMs, lent] = [100, lease ? 40 : 0]
      const most = 5 + lent + (policy.refillPerSecond * (outageMs + staleMs)) / 1000
      t.comment(`${during.total} let pass in ${outageMs} ms without the store, at most ${most}`)
      t.ok(during.total <= most, `${during.total} of ${most}`)
      t.ok(during.total >= 0.9 * policy.refillPerSecond * 5, 'and they let pass what they may')
      for (const { bank: way } of fleet) way.recover()
      const after = await runLoad(bank, fleet, claims, load(2000, 3000))
      const all = [...before.passed, ...during.passed, ...after.passed]
      const excess = excessOf(all, policy.capacity, policy.refillPerSecond)
      t.comment(`excess over everything ${excess}`)
      t.ok(excess <= lent + (policy.refillPerSecond * staleMs) / 1000, `${excess}`)
    }
  },
)
