import { HandClock, type SeededRandom, seededRandom } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { claim, type Policy } from '../src/index.ts'
import { type LeaseTerms, leaseExcess, returnedTicks, withReserve } from '../src/lease-terms.ts'
import { policyOf } from './policy-of.ts'
import {
  Bank,
  burstyLoad,
  excessOf,
  type FleetPlan,
  idealOf,
  type Load,
  runLoad,
  simulateFleet,
  steadyLoad,
  wavyLoad,
} from './simulated-bank.ts'

const usual: LeaseTerms = { leaseMs: 100, maxUnits: 10_000, share: 0.1, minPerSecond: 20, strict: false }

/** Runs a load through a fleet of which every clock is wrong by up to five minutes. */
async function simulate(plan: FleetPlan, load: Load) {
  const bank = new Bank(new HandClock({ nowMs: 1_000_000 }))
  const fleet = simulateFleet(bank, plan)
  const one = claim(plan.policy, 'acme', 'all')
  const run = await runLoad(bank, fleet, [one], load)
  const { capacity, refillPerSecond, leaseReserve = 0 } = plan.policy
  const result = {
    ...run,
    calls: bank.calls,
    ideal: idealOf(run.asked, capacity, refillPerSecond),
    /** Above what was stated, also where a part of that is kept back. */
    excess: excessOf(run.passed, capacity + leaseReserve, refillPerSecond),
  }
  const closing = Promise.all(fleet.map(({ limiter }) => limiter.close()))
  await bank.clock.advance(10)
  await closing
  return { ...result, leftUsed: bank.usedOf(one), timers: bank.clock.pendingTimers }
}

/** Rounding of times to microseconds, and of doubles. */
const ROUNDING = 1e-3

const settings: readonly {
  readonly limit: string
  readonly processes: number
  readonly terms: Partial<LeaseTerms>
}[] = [
  { limit: '100/s', processes: 8, terms: { leaseMs: 1000, maxUnits: 10, share: 1, minPerSecond: 1 } },
  { limit: '100/s burst 500', processes: 8, terms: { leaseMs: 1000, maxUnits: 10, minPerSecond: 1 } },
  { limit: '1000/s', processes: 8, terms: { leaseMs: 100, maxUnits: 25, share: 1 } },
  { limit: '1000/s burst 2000', processes: 16, terms: { leaseMs: 200, maxUnits: 50 } },
  { limit: '20/s burst 2000', processes: 4, terms: { leaseMs: 500, share: 0.5, minPerSecond: 1 } },
  { limit: '500/s burst 5000', processes: 1, terms: { share: 1 } },
]

/** Requests in one run, about. */
const REQUESTS = 3000

for (const { limit, processes, terms: own } of settings) {
  const terms = { ...usual, ...own }
  const policy = policyOf('p', limit)
  const bound = leaseExcess(policy, terms, processes)
  const burstyFor = (random: SeededRandom) => {
    const perSecond = policy.refillPerSecond * 2
    return burstyLoad(random, processes, perSecond, Math.min(10_000, (REQUESTS * 1000) / perSecond))
  }
  const wavesFor = (random: SeededRandom) => {
    const waves = Math.ceil(REQUESTS / (5 * policy.refillPerSecond))
    return wavyLoad(random, processes, policy.refillPerSecond, Math.min(5, waves))
  }
  const text = `${processes} processes, ${limit}, leases of ${terms.leaseMs} ms`
  t.test(`no time ever sees more than B + R * t + ${bound}: ${text}`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    let worst = Number.NEGATIVE_INFINITY
    let leased = 0
    for (const denyCache of [false, true]) {
      const load = denyCache ? burstyFor(random) : wavesFor(random)
      const plan = { processes, policy, terms, denyCache, random }
      const { excess, bySource, timers } = await simulate(plan, load)
      t.ok(excess <= bound + ROUNDING, `${excess} above B + R * t`)
      leased += bySource['lease'] ?? 0
      t.equal(timers, 0, 'nothing is left running')
      worst = Math.max(worst, excess)
    }
    t.comment(`bound ${bound}, worst seen ${worst.toFixed(1)}`)
    t.ok(leased > 0, 'leases were used')
    // Short leases follow the waves, and lose as much as they could make too much.
    if (processes > 1 && terms.leaseMs === 1000 && terms.share === 1) {
      t.ok(worst > 0, 'the waves were high enough to tell')
    }
  })
  t.test(`strict leases exceed nothing: ${text}`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    const strict = { ...terms, share: 0.3, strict: true }
    const reserved = withReserve(policy, strict)
    t.equal(leaseExcess(reserved, strict, processes), 0)
    const load = wavesFor(random)
    const { excess, bySource } = await simulate({ processes, policy: reserved, terms: strict, random }, load)
    t.ok(excess <= ROUNDING, `${excess} above B + R * t`)
    t.ok((bySource['lease'] ?? 0) > 0, 'leases were used')
  })
  t.test(`without leases nothing is exceeded at all: ${text}`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    const load = burstyFor(random)
    const { excess, total, ideal } = await simulate({ processes, policy, random }, load)
    t.ok(excess <= ROUNDING, `${excess} above B + R * t`)
    t.ok(total >= 0.99 * ideal, `${total} of ${ideal}`)
  })
}

/** What of the possible is let pass. */
async function usefulness(t: Test, plan: Omit<FleetPlan, 'random'>, perSecond: number, ms: number) {
  const random = seededRandom()
  random.announce(t)
  const load = steadyLoad(random, plan.processes, perSecond, ms)
  const result = await simulate({ ...plan, random }, load)
  const share = result.calls / load.length
  t.comment(
    `${result.total} of ${result.ideal} let pass, ${(share * 100).toFixed(2)} % of ${load.length} requests asked`,
  )
  return { ...result, share }
}

const thousand = policyOf('p', '1000/s')

t.test('below the limit everybody passes, and few ask', async (t) => {
  for (const [leaseMs, most] of [
    [100, 0.35],
    [200, 0.25],
  ] as const) {
    const terms = { ...usual, leaseMs }
    const plan = { processes: 8, policy: thousand, terms, denyCache: true }
    const { total, ideal, share } = await usefulness(t, plan, 500, 5000)
    t.equal(total, ideal)
    t.ok(share <= most, `${share} of the requests asked`)
  }
  // The more a process has to do, the less it asks.
  const busy = { processes: 2, policy: policyOf('p', '10000/s'), terms: usual, denyCache: true }
  const { total, ideal, share } = await usefulness(t, busy, 5000, 1500)
  t.equal(total, ideal)
  t.ok(share <= 0.03, `${share} of the requests asked, with what it takes to begin`)
})

t.test('at the limit and above it at least 99 % of the possible passes', async (t) => {
  for (const [factor, ms] of [
    [0.95, 5000],
    [1.5, 5000],
    [10, 1500],
  ] as const) {
    const plan = { processes: 8, policy: thousand, terms: usual, denyCache: true }
    const { total, ideal } = await usefulness(t, plan, 1000 * factor, ms)
    t.ok(total >= 0.99 * ideal, `${total} of ${ideal}`)
  }
})

t.test('in a flood of 100 times the limit at most 2 % of the requests ask', async (t) => {
  const plan = { processes: 8, policy: policyOf('p', '100/s'), terms: usual, denyCache: true }
  const { total, ideal, share } = await usefulness(t, plan, 10_000, 4000)
  t.ok(share <= 0.02, `${share} of the requests asked`)
  t.ok(total >= 0.98 * ideal, `${total} of ${ideal}`)
})

t.test(
  'who gives back all that is left could exceed R * L; who gives back less by what came back cannot',
  (t) => {
    const policy: Policy = policyOf('p', '10/s burst 100')
    const [leaseMs, each] = [1000, 50]
    /** A process lends, lets its lease end, and gives back; one after the other, each before the one before gives back. */
    const lentBesideFull = (returned: (unused: number, ageUs: number) => number): number => {
      const unit = policy.emissionTicks
      let used = 0
      let highest = 0
      for (let round = 0; round < 20; round += 1) {
        used = Math.max(0, used - leaseMs * 1000 * policy.ticksPerUs)
        const fits = used + each * unit <= policy.toleranceTicks
        if (fits) used += each * unit
        // The lease of the round before ends now.
        if (round > 0) used = Math.max(0, used - returned(each * unit, leaseMs * 1000))
        highest = Math.max(highest, (policy.toleranceTicks - used) / unit + (fits ? each : 0))
      }
      return highest - policy.capacity
    }
    const bound = (policy.refillPerSecond * leaseMs) / 1000
    const naive = lentBesideFull((unused) => unused)
    const ours = lentBesideFull((unused, ageUs) => returnedTicks(policy, unused, ageUs))
    t.comment(`R * L is ${bound}; could pass at once above B: ${naive} and ${ours}`)
    t.ok(naive > bound)
    t.ok(ours <= bound)
    t.end()
  },
)

t.test('what is not used comes back: at once when the process ends, and by itself', async (t) => {
  const policy = policyOf('p', '1/s burst 10000')
  const clock = new HandClock()
  const bank = new Bank(clock)
  const random = seededRandom(1)
  const [process] = simulateFleet(bank, { processes: 1, policy, terms: usual, random })
  if (process === undefined) throw new Error('no process')
  const one = claim(policy, 'acme', 'all')
  const spend = async (requests: number) => {
    for (let at = 0; at < requests; at += 1) {
      const decided = process.limiter.decide([one])
      await clock.advance(2)
      await decided
    }
  }
  await spend(100)
  const unitsUsed = () => bank.usedOf(one) / policy.emissionTicks
  t.ok((process.limiter.snapshot().leases?.units ?? 0) > 0)
  t.ok(unitsUsed() > 101, `${unitsUsed()} are taken, 100 of them were spent`)
  await clock.advance(300)
  t.match(process.limiter.snapshot().leases, { units: 0, held: 0 })
  t.ok(unitsUsed() <= 101, `${unitsUsed()} are taken`)
  await spend(100)
  t.ok((process.limiter.snapshot().leases?.units ?? 0) > 0)
  const closing = process.limiter.close()
  await clock.advance(10)
  await closing
  t.ok(unitsUsed() <= 201, `${unitsUsed()} are taken, 200 were spent`)
})
