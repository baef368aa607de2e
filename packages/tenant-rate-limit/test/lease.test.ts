import { OptionChecks } from '@holdfast/footing'
import t from 'tap'
import { claim } from '../src/index.ts'
import { Lease } from '../src/lease.ts'
import {
  type LeaseTerms,
  leaseExcess,
  leaseMsOf,
  loanUnits,
  resolveLeases,
  returnedTicks,
  withReserve,
} from '../src/lease-terms.ts'
import { checks } from '../src/options.ts'
import { policyOf } from './policy-of.ts'

const terms: LeaseTerms = { leaseMs: 100, maxUnits: 1000, share: 0.1, minPerSecond: 20, strict: false }
const thousand = policyOf('p', '1000/s')
const one = claim(thousand, 'acme', 'all')

t.test('a loan is what is wanted, and no more than a part of what is there', (t) => {
  const lent = (usedUnits: number, want: number, held: number, portion: number) =>
    loanUnits(thousand, usedUnits * thousand.emissionTicks, want, held, portion)
  t.equal(lent(0, 50, 0, 0.1), 50)
  t.equal(lent(0, 500, 0, 0.1), 100)
  t.equal(lent(0, 500, 60, 0.1), 40)
  t.equal(lent(0, 500, 100, 0.1), 0)
  t.equal(lent(500, 500, 0, 0.1), 50)
  t.equal(lent(985, 500, 0, 0.1), 0, 'for one unit it is not worth to ask')
  t.equal(lent(1000, 500, 0, 1), 0)
  t.end()
})

t.test('what is given back is less by what came back meanwhile', (t) => {
  const ticks = 50 * thousand.emissionTicks
  t.equal(returnedTicks(thousand, ticks, 0), ticks)
  t.equal(returnedTicks(thousand, ticks, 20_000), 30 * thousand.emissionTicks)
  t.equal(returnedTicks(thousand, ticks, 60_000), 0)
  t.end()
})

t.test('the excess is bounded by what is held, by the time it is held, and by its share', (t) => {
  const bound = (own: Partial<LeaseTerms>, processes?: number) =>
    leaseExcess(thousand, { ...terms, ...own }, processes)
  t.equal(bound({ maxUnits: 5 }, 8), 40)
  t.equal(bound({ leaseMs: 20 }, 8), 20)
  t.equal(bound({ leaseMs: 10_000 }, 8), 100)
  t.equal(bound({ leaseMs: 10_000, maxUnits: 2 }), 100, 'of any number of processes')
  t.equal(bound({ strict: true }, 8), 0)
  t.equal(leaseExcess(policyOf('s', '1000/s strict'), terms, 8), 0)
  t.end()
})

t.test('strict leases keep back what they could make too much, and last no longer than it refills', (t) => {
  const strict = { ...terms, strict: true }
  t.equal(withReserve(thousand, terms), thousand)
  const less = withReserve(thousand, strict)
  t.match(less, { capacity: 900, leaseReserve: 100, emissionTicks: thousand.emissionTicks })
  t.equal(less.toleranceTicks, 900 * thousand.emissionTicks)
  t.equal(leaseMsOf(less, strict), 100)
  t.equal(leaseMsOf(less, { ...strict, leaseMs: 500 }), 100)
  t.equal(leaseMsOf(thousand, { ...terms, leaseMs: 500 }), 500)
  const slow = policyOf('slow', '10/s burst 100')
  t.equal(leaseMsOf(withReserve(slow, strict), { ...strict, leaseMs: 5000 }), 1000)
  const small = policyOf('small', '5/minute')
  t.equal(withReserve(small, strict), small)
  t.equal(leaseMsOf(small, strict), 0, 'too small to be lent')
  const login = policyOf('login', '100/s strict')
  t.match(
    withReserve(login, terms),
    { capacity: 45, leaseReserve: 5 },
    'a strict policy is always lent like that',
  )
  t.end()
})

t.test('options are refused with a code', (t) => {
  t.equal(resolveLeases(false, checks), undefined)
  t.strictSame(resolveLeases(true, checks), { ...terms, maxUnits: 10_000 })
  t.strictSame(resolveLeases({ strict: true, minPerSecond: 0 }, checks), {
    ...terms,
    maxUnits: 10_000,
    strict: true,
    minPerSecond: 0,
  })
  for (const wrong of [
    { leaseMs: 9 },
    { leaseMs: 10_001 },
    { maxUnits: 1 },
    { share: 0 },
    { share: 1.1 },
    { minPerSecond: -1 },
    { strict: 1 },
    { share: '10%' },
    { years: 1 },
    null,
    'yes',
    [],
  ]) {
    t.throws(() => resolveLeases(wrong as object, checks), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION' })
  }
  t.ok(checks instanceof OptionChecks)
  t.end()
})

/** A lease that this many requests drew on, one every `everyMs`. */
function drawnOn(requests: number, everyMs: number, own: Partial<LeaseTerms> = {}) {
  const lease = new Lease(one, { ...terms, ...own }, 0)
  let nowMs = 0
  for (let at = 0; at < requests; at += 1) {
    nowMs += everyMs
    lease.count(1, nowMs)
  }
  return { lease, nowMs }
}

const loan = (units: number) => ({ units, usedTicks: units * thousand.emissionTicks, atUs: 0 })

t.test('nothing is asked for before it is drawn on often', (t) => {
  const { lease: rare, nowMs: rareMs } = drawnOn(50, 100)
  t.equal(rare.requestAt(rareMs, 1), undefined)
  const { lease: fresh } = drawnOn(9, 0)
  t.equal(fresh.requestAt(0, 1), undefined)
  const { lease, nowMs } = drawnOn(100, 10)
  const request = lease.requestAt(nowMs, 1)
  // 100 a second for 80 ms.
  t.ok(request !== undefined && request.want >= 7 && request.want <= 9 && request.held === 0)
  t.equal(lease.requestAt(nowMs + 2000, 1), undefined, 'and no more when it is left alone')
  t.end()
})

t.test('nothing is asked for where nothing would be lent', (t) => {
  const { lease, nowMs } = drawnOn(100, 10)
  t.not(lease.requestAt(nowMs, 0.1 / 8), undefined)
  t.equal(lease.requestAt(nowMs, 0.001), undefined)
  lease.learn(900 * thousand.emissionTicks, nowMs)
  t.equal(lease.requestAt(nowMs, 0.1 / 8), undefined)
  t.not(lease.requestAt(nowMs + 100, 0.1 / 8), undefined, 'until enough has come back')
  t.end()
})

t.test('one request at a time, and a pause that grows after one that got nothing', (t) => {
  const { lease, nowMs } = drawnOn(1000, 1)
  const ask = (atMs: number) => {
    lease.count(1, atMs)
    return lease.requestAt(atMs, 1) !== undefined
  }
  t.equal(ask(nowMs), true)
  lease.ask()
  t.equal(lease.busy, true)
  t.equal(ask(nowMs), false)
  lease.answer(undefined, nowMs, nowMs)
  t.equal(lease.busy, false)
  t.equal(ask(nowMs + 99), false)
  t.equal(ask(nowMs + 100), true)
  lease.ask()
  lease.answer(loan(0), nowMs + 100, nowMs + 100)
  t.equal(ask(nowMs + 299), false)
  t.equal(ask(nowMs + 300), true)
  lease.ask()
  lease.answer(loan(5), nowMs + 300, nowMs + 300)
  t.equal(lease.unitsAt(nowMs + 300), 5)
  t.end()
})

t.test('units are spent until their time ends, counted from the question', (t) => {
  const { lease, nowMs } = drawnOn(1000, 1)
  lease.ask()
  t.equal(lease.answer(loan(50), nowMs, nowMs + 30), undefined)
  t.equal(lease.grantFor(51, nowMs + 30), undefined)
  const grant = lease.grantFor(50, nowMs + 99)
  t.equal(grant?.units, 50)
  t.equal(lease.grantFor(1, nowMs + 100), undefined)
  t.equal(lease.unitsAt(nowMs + 100), 0)
  t.strictSame(lease.takeOut(nowMs + 99), [])
  t.equal(lease.takeOut(nowMs + 100)[0], grant)
  t.strictSame(lease.takeOut(nowMs + 100), [])
  t.equal(grant !== undefined && lease.putBack(grant, 1), false)
  t.equal(lease.busy, false)
  lease.ask()
  t.match(lease.answer(loan(50), nowMs, nowMs + 100), { units: 50 }, 'what comes too late is handed back')
  t.equal(lease.unitsAt(nowMs + 100), 0)
  t.end()
})

t.test('it is renewed when it is nearly spent, and when it nearly ends', (t) => {
  const spent = drawnOn(1000, 1)
  spent.lease.ask()
  spent.lease.answer(loan(80), spent.nowMs, spent.nowMs)
  t.equal(spent.lease.requestAt(spent.nowMs, 1), undefined)
  const grant = spent.lease.grantFor(1, spent.nowMs)
  if (grant === undefined) throw new Error('nothing was lent')
  grant.units = 10
  const renewal = spent.lease.requestAt(spent.nowMs, 1)
  t.match(renewal, { held: 10 })
  spent.lease.ask()
  spent.lease.answer(loan(60), spent.nowMs, spent.nowMs)
  t.equal(spent.lease.unitsAt(spent.nowMs), 70)
  grant.units = 0
  t.equal(spent.lease.grantFor(1, spent.nowMs)?.units, 60, 'the older one was first')

  const ending = drawnOn(1000, 1)
  ending.lease.ask()
  ending.lease.answer(loan(80), ending.nowMs, ending.nowMs)
  t.equal(ending.lease.requestAt(ending.nowMs + 70, 1), undefined)
  t.match(ending.lease.requestAt(ending.nowMs + 81, 1), { held: 80 })
  t.end()
})

t.test('a demand that has just begun is met after a few loans', (t) => {
  const huge = policyOf('huge', '1000000/s')
  const lease = new Lease(claim(huge, 'acme', 'all'), { ...terms, maxUnits: 10_000 }, 0)
  const wants: number[] = []
  // 10 a millisecond, and an answer takes 2 ms.
  for (let nowMs = 0; wants.length < 6; nowMs += 2) {
    for (let at = 0; at < 20; at += 1) {
      const grant = lease.grantFor(1, nowMs)
      if (grant !== undefined) grant.units -= 1
      lease.count(1, nowMs)
    }
    const request = lease.requestAt(nowMs, 1)
    if (request === undefined) continue
    wants.push(request.want)
    lease.ask()
    lease.answer({ units: request.want, usedTicks: 0, atUs: 0 }, nowMs, nowMs)
  }
  t.strictSame(wants, [4, 16, 64, 256, 800, 800], 'four times as many, up to what comes in 80 ms')
  t.end()
})

t.test('what ended unspent tells nothing of the demand', (t) => {
  const { lease, nowMs } = drawnOn(1000, 1)
  lease.ask()
  lease.answer({ units: 1000, usedTicks: 0, atUs: 0 }, nowMs, nowMs)
  const laterMs = nowMs + lease.leaseMs + 1
  const { want = 0 } = lease.requestAt(laterMs, 1) ?? {}
  t.ok(want > 0 && want < 100, `${want} units are wanted`)
  t.end()
})

t.test('no more is held than the terms say', (t) => {
  const { lease, nowMs } = drawnOn(1000, 1, { maxUnits: 30 })
  t.match(lease.requestAt(nowMs, 1), { want: 30, held: 0 })
  lease.ask()
  lease.answer(loan(30), nowMs, nowMs)
  t.equal(lease.requestAt(nowMs + 85, 1), undefined, 'nothing to add')
  const grant = lease.grantFor(20, nowMs)
  if (grant === undefined) throw new Error('nothing was lent')
  grant.units -= 20
  t.match(lease.requestAt(nowMs + 85, 1), { want: 20, held: 10 })
  t.end()
})

t.test('what is held is not used', (t) => {
  const { lease, nowMs } = drawnOn(1000, 1)
  lease.ask()
  lease.answer({ units: 50, usedTicks: 200 * thousand.emissionTicks, atUs: 0 }, nowMs, nowMs)
  t.equal(lease.usedAt(nowMs), 150 * thousand.emissionTicks)
  t.equal(lease.usedAt(nowMs + 50), 100 * thousand.emissionTicks)
  t.equal(lease.usedAt(nowMs + 100), 100 * thousand.emissionTicks, 'what has ended is')
  t.equal(lease.usedAt(nowMs + 1000), 0)
  t.end()
})
