import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { type Claim, claim, type Decision, type Verdict } from '../src/index.ts'
import type { LeaseTerms } from '../src/lease-terms.ts'
import { LeasedStore } from '../src/leases.ts'
import { policyOf } from './policy-of.ts'
import { Bank, RemoteBank } from './simulated-bank.ts'

const terms: LeaseTerms = { leaseMs: 100, maxUnits: 1000, share: 0.1, minPerSecond: 20, strict: false }
const thousand = policyOf('p', '1000/s')
const hot = claim(thousand, 'acme', 'hot')

/** A store with leases before a bank that answers after 1 ms. */
function leasedStore(own: { maxKeys?: number; processes?: number; terms?: Partial<LeaseTerms> } = {}) {
  const clock = new HandClock({ nowMs: 5000 })
  const bank = new Bank(clock)
  const remote = new RemoteBank(bank, () => 0.5)
  const learned: Verdict[] = []
  const store = new LeasedStore({
    store: remote,
    clock,
    terms: { ...terms, ...own.terms },
    processes: () => own.processes ?? 1,
    onLearned: (verdict) => learned.push(verdict),
    ...(own.maxKeys === undefined ? {} : { maxKeys: own.maxKeys }),
  })
  /** What a limiter does. */
  const decide = async (claims: readonly Claim[]): Promise<Decision> => {
    const held = store.held(claims, 'consume', false)
    if (held !== undefined) return held
    const decided = store.decide(claims, 'consume')
    await clock.advance(1)
    return decided
  }
  /** Draws on a bucket until it is lent. */
  const warm = async (one: Claim = hot) => {
    for (let asked = 0; asked < 200; asked += 1) {
      const decision = await decide([one])
      await clock.advance(1)
      if (decision.source === 'lease' && store.snapshot().units >= 8) return
    }
    throw new Error('nothing was lent')
  }
  const unitsUsed = (one: Claim = hot) => bank.usedOf(one) / one.policy.emissionTicks
  return { clock, bank, remote, store, decide, warm, learned, unitsUsed }
}

t.test('a bucket that is drawn on often is lent, and decided at once', async (t) => {
  const { store, bank, clock, decide, warm, learned } = leasedStore()
  t.equal(store.held([hot], 'consume', false), undefined)
  await warm()
  const calls = bank.calls
  const { units, spentUnits } = store.snapshot()
  const decision = store.held([hot], 'consume', false)
  t.match(decision, {
    allowed: true,
    violated: [],
    retryAfterMs: 0,
    source: 'lease',
    degraded: false,
    reservation: undefined,
    verdicts: [{ claim: hot, policy: thousand, allowed: true, retryAfterMs: 0 }],
  })
  const remaining = decision?.verdicts[0]?.remaining ?? 0
  t.ok(remaining > 900 && remaining < 1000)
  t.match(store.snapshot(), { watched: 1, held: 1, units: units - 1, spentUnits: spentUnits + 1 })
  t.equal(bank.calls, calls, 'nobody was asked')
  t.ok(learned.some(({ claim: { key } }) => key === hot.key))
  t.ok(store.held([hot], 'peek', false)?.allowed)
  t.equal(store.snapshot().units, units - 1, 'looking spends nothing')
  t.match(await decide([claim(thousand, 'acme', 'cold')]), { source: 'redis' })
  const closing = store.close()
  await clock.advance(10)
  await closing
  t.equal(clock.pendingTimers, 0)
  t.equal(store.held([hot], 'consume', false), undefined)
})

t.test('what is not lent of a request is asked for; what is lent is spent only when it passes', async (t) => {
  const { store, decide, warm, unitsUsed, clock } = leasedStore()
  const scarce = claim(policyOf('scarce', '1/day'), 'acme', 'scarce')
  await warm()
  const { units } = store.snapshot()
  const before = unitsUsed()
  const first = await decide([scarce, hot])
  t.match(first, {
    allowed: true,
    source: 'redis',
    verdicts: [{ claim: scarce }, { claim: hot, allowed: true }],
  })
  t.equal(store.snapshot().units, units - 1)
  const second = await decide([hot, scarce])
  t.match(second, { allowed: false, violated: ['scarce'], verdicts: [{ claim: hot }, { claim: scarce }] })
  t.equal(store.snapshot().units, units - 1, 'a refused request has spent nothing')
  t.ok(unitsUsed() <= before, 'nor taken anything')
  const closing = store.close()
  await clock.advance(10)
  await closing
})

t.test('a question that fails costs no unit', async (t) => {
  const { store, remote, warm, clock } = leasedStore()
  await warm()
  const { units } = store.snapshot()
  const cold = claim(thousand, 'acme', 'cold')
  const decided = store.decide([hot, cold], 'consume')
  remote.lose()
  await Promise.all([t.rejects(async () => decided, { message: 'away' }), clock.advance(2)])
  t.equal(store.snapshot().units, units)
  t.equal(store.available, false)
  t.match(store.held([hot], 'consume', false), { source: 'lease' }, 'what is held can be spent')
  await clock.advance(200)
  t.equal(store.held([hot], 'consume', false), undefined, 'for its time')
  t.equal(store.snapshot().units, 0)
  t.ok(store.snapshot().lostUnits > 0)
})

t.test(
  'a lease that ended while a question was on its way gives back what the question did not need',
  async (t) => {
    const { store, warm, clock, unitsUsed, remote, bank } = leasedStore()
    const slow = claim(policyOf('slow', '1/s burst 1000'), 'acme', 'slow')
    const scarce = claim(policyOf('scarce', '1/day'), 'acme', 'scarce')
    bank.decide([scarce], 'consume')
    await warm(slow)
    const before = unitsUsed(slow)
    const { units } = store.snapshot()
    t.ok(units > 0)
    const decided = store.decide([slow, scarce], 'consume')
    // The process stands still for a while: no timer runs, and then all of them.
    await clock.advance(150)
    t.equal((await decided).allowed, false)
    await clock.advance(150)
    t.ok(before - unitsUsed(slow) > units - 1, `${before - unitsUsed(slow)} of ${units} came back`)
    t.equal(remote.available, true)
  },
)

t.test('two claims on one bucket are not decided here', async (t) => {
  const { store, warm, clock } = leasedStore()
  await warm()
  t.equal(store.held([hot, hot], 'consume', false), undefined)
  const decided = store.decide([hot, hot], 'consume')
  await clock.advance(1)
  const { verdicts } = await decided
  t.equal((verdicts[0]?.remaining ?? 0) - (verdicts[1]?.remaining ?? 0), 1)
})

t.test('a reservation goes back into the lease, or to the store when that has ended', async (t) => {
  const { store, warm, clock, unitsUsed } = leasedStore()
  const slow = claim(policyOf('slow', '1/s burst 1000'), 'acme', 'slow')
  const free = claim(slow.policy, 'acme', 'slow', 0)
  await warm(slow)
  const { units } = store.snapshot()
  const reserve = () => {
    const { reservation } = store.held([slow], 'consume', true) ?? {}
    if (reservation === undefined) throw new Error('nothing is reserved')
    return reservation
  }
  const first = reserve()
  t.strictSame(first.claims, [slow])
  t.equal(store.snapshot().units, units - 1)
  t.equal(await first.store.refund(first.claims), undefined)
  t.equal(store.snapshot().units, units)
  t.equal(await store.held([free], 'consume', true)?.reservation?.store.refund([free]), undefined)
  const second = reserve()
  await clock.advance(300)
  t.equal(store.snapshot().units, 0)
  const before = unitsUsed(slow)
  const refunded = second.store.refund(second.claims)
  await clock.advance(1)
  await refunded
  t.ok(before - unitsUsed(slow) >= 1, `${before - unitsUsed(slow)} came back`)
})

t.test('a policy that is changed is lent anew; what was lent before ends unspent', async (t) => {
  const { store, warm, clock, decide } = leasedStore()
  await warm()
  const changed = claim(policyOf('p', '2000/s'), 'acme', 'hot')
  t.equal(changed.key, hot.key)
  t.equal(store.held([changed], 'consume', false), undefined)
  t.match(await decide([changed]), { source: 'redis' })
  await warm(changed)
  t.match(store.held([changed], 'consume', false), { source: 'lease' })
  await clock.advance(300)
  t.match(store.snapshot(), { held: 0, units: 0 })
})

t.test('a policy that cannot be lent exactly is not lent', async (t) => {
  const { warm } = leasedStore()
  await t.rejects(warm(claim(policyOf('login', '5/s strict'), 'acme', 'login')), /nothing was lent/)
})

t.test('the watched buckets are bounded, and a flood of others displaces none that is lent', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { store, warm, decide, clock } = leasedStore({ maxKeys: 20 })
  await warm()
  for (let other = 0; other < 2000; other += 1) {
    await decide([claim(thousand, 'acme', `other ${random.seed} ${other}`)])
    t.ok(store.snapshot().watched <= 20)
    if (other % 20 === 0) {
      for (let again = 0; again < 5; again += 1) await decide([hot])
    }
  }
  t.match(store.held([hot], 'consume', false), { source: 'lease' })
  const full = leasedStore({ maxKeys: 2 })
  const others = [1, 2].map((other) => claim(thousand, 'acme', `hot ${other}`))
  for (let round = 0; round < 100; round += 1) for (const other of others) await full.decide([other])
  for (let again = 0; again < 20; again += 1) await full.decide([hot])
  t.equal(full.store.snapshot().watched, 2)
  t.equal(full.store.held([hot], 'consume', false), undefined, 'who finds no place is decided by the store')
  const closing = Promise.all([store.close(), full.store.close()])
  await Promise.all([clock.advance(10), full.clock.advance(10)])
  await closing
})

t.test('the more processes there are, the less each is lent', async (t) => {
  const lentTo = async (processes: number) => {
    const { store, clock, decide } = leasedStore({ processes })
    for (let round = 0; round < 400; round += 1) {
      await decide([hot])
      await decide([hot])
      await clock.advance(1)
    }
    const { units } = store.snapshot()
    const closing = store.close()
    await clock.advance(10)
    await closing
    return units
  }
  const [alone, ofMany] = [await lentTo(1), await lentTo(50)]
  t.ok(ofMany <= 2, `${ofMany} units of 1000, a tenth of them for 50 processes`)
  t.ok(alone > 10 && alone <= 100, `${alone} units`)
})

t.test('what the store offers beside deciding goes to the store', async (t) => {
  const { store, clock, unitsUsed } = leasedStore()
  const done = async (work: void | Promise<void>) => {
    await clock.advance(1)
    await work
  }
  const slow = claim(policyOf('slow', '10/day'), 'acme', 'slow', 4)
  const taken = store.decide([slow], 'consume')
  await clock.advance(1)
  await taken
  t.ok(unitsUsed(slow) > 3.99)
  await done(store.refund([claim(slow.policy, 'acme', 'slow', 3)]))
  t.ok(unitsUsed(slow) < 1.01)
  await done(store.forget([slow]))
  t.equal(unitsUsed(slow), 0)
})

t.test('a loan that arrives after the end is given back', async (t) => {
  const { store, clock, unitsUsed } = leasedStore()
  const slow = claim(policyOf('slow', '1/s burst 10000'), 'acme', 'slow')
  const decided: (Decision | Promise<Decision>)[] = []
  for (let asked = 0; asked < 100; asked += 1) decided.push(store.decide([slow], 'consume'))
  await clock.advance(1)
  await Promise.all(decided)
  t.match(store.snapshot(), { asked: 1, units: 0 }, 'the loan is on its way')
  const closing = store.close()
  await clock.advance(5)
  await closing
  t.ok(unitsUsed(slow) <= 100, `${unitsUsed(slow)} units are taken, 100 were spent`)
  t.equal(clock.pendingTimers, 0)
})
