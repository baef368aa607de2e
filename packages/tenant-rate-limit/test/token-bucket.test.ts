import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import {
  type BucketTerms,
  bucketTerms,
  debitTicks,
  fullAtPs,
  fullAtUs,
  MAX_UNITS,
  microseconds,
  remainingUnits,
  ticksToMs,
  usedTicks,
  waitTicks,
} from '../src/token-bucket.ts'

const SECOND_US = 1_000_000

function termsOf(capacity: number, units: number, us = SECOND_US): BucketTerms {
  const terms = bucketTerms(capacity, { units, us })
  if (terms === undefined) throw new Error('no such bucket')
  return terms
}

/** A bucket that keeps its state. */
class Bucket {
  readonly terms: BucketTerms
  #stored: [number, number, number] | undefined

  constructor(terms: BucketTerms) {
    this.terms = terms
  }

  used(nowUs: number): number {
    return this.#stored === undefined ? 0 : usedTicks(this.terms, nowUs, ...this.#stored)
  }

  take(nowUs: number, cost = 1): boolean {
    const used = this.used(nowUs)
    if (waitTicks(this.terms, used, cost) > 0) return false
    const after = used + debitTicks(this.terms, cost)
    this.#stored = [fullAtUs(this.terms, nowUs, after), fullAtPs(this.terms, after), this.terms.toleranceUs]
    return true
  }
}

t.test('the capacity can be taken at once, and then one unit for each that comes back', async (t) => {
  const bucket = new Bucket(termsOf(3, 2))
  for (const expected of [true, true, true, false]) t.equal(bucket.take(0), expected)
  t.equal(ticksToMs(bucket.terms, waitTicks(bucket.terms, bucket.used(0), 1)), 500)
  t.equal(bucket.take(499_999), false, 'not a microsecond early')
  t.equal(bucket.take(500_000), true)
  t.equal(bucket.take(500_000), false)
  t.equal(remainingUnits(bucket.terms, bucket.used(2_000_000)), 3, 'full again after capacity / rate')
  t.equal(remainingUnits(bucket.terms, bucket.used(1e12)), 3, 'and never fuller')
})

t.test('what costs more than the capacity never fits, however full the bucket is', async (t) => {
  const terms = termsOf(10, 1)
  t.equal(waitTicks(terms, 0, 11), Number.POSITIVE_INFINITY)
  t.equal(waitTicks(terms, 0, Number.MAX_SAFE_INTEGER), Number.POSITIVE_INFINITY)
  t.equal(waitTicks(terms, 0, 10), 0)
  t.ok(waitTicks(terms, 1, 10) > 0)
})

t.test(
  'in any time t at most capacity + rate * t units are taken, and nearly as many under pressure',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    for (const [capacity, units, us] of [
      [1, 1, SECOND_US],
      [100, 2, SECOND_US],
      [7, 7, SECOND_US],
      [10, 3, 7 * SECOND_US],
      [50, 999_983, SECOND_US],
      [1000, 3_000_000, SECOND_US],
      [1_000_000, 700_000_001, SECOND_US],
      [3, 5, 86_400 * SECOND_US],
    ] as const) {
      const bucket = new Bucket(termsOf(capacity, units, us))
      const taken: { atUs: number; cost: number }[] = []
      let nowUs = 0
      // In time for about one unit, on the average, ten are asked for.
      for (let asked = 0; asked < 3000; asked += 1) {
        nowUs += Math.floor((random.next() * us) / units / 5)
        const cost = random.pick([1, 1, 1, Math.ceil(capacity / 10), Math.ceil(capacity / 3)])
        if (bucket.take(nowUs, cost)) taken.push({ atUs: nowUs, cost })
      }
      let worst = 0
      for (let from = 0; from < taken.length; from += 1) {
        let sum = 0
        for (let to = from; to < taken.length; to += 1) {
          const [first, last] = [taken[from], taken[to]] as [(typeof taken)[0], (typeof taken)[0]]
          sum += last.cost
          worst = Math.max(worst, sum - capacity - ((last.atUs - first.atUs) * units) / us)
        }
      }
      t.ok(worst <= 1e-6, `${units} in ${us} us: ${worst} over`)
    }
  },
)

t.test(
  'one unit after the other gets all that comes back, at rates far beyond one a microsecond',
  async (t) => {
    for (const rate of [7, 70_000, 999_983, 1_000_000, 3_000_000, 700_000_001, MAX_UNITS]) {
      const capacity = Math.max(10, Math.ceil(rate / 1000))
      const bucket = new Bucket(termsOf(capacity, rate))
      const stepUs = Math.max(1, Math.round(SECOND_US / rate))
      let taken = 0
      let nowUs = 0
      for (; taken < 20_000 + capacity && nowUs < 60 * SECOND_US; nowUs += stepUs) {
        const left = remainingUnits(bucket.terms, bucket.used(nowUs))
        if (left > 0 && bucket.take(nowUs, left)) taken += left
      }
      const ideal = capacity + ((nowUs - stepUs) / SECOND_US) * rate
      t.ok(taken <= ideal + 1e-6, `${rate}/s: ${taken} of ${ideal}`)
      t.ok(taken >= 0.999 * ideal - 1, `${rate}/s: ${taken} of ${ideal}`)
    }
  },
)

t.test('the time for one unit is rounded up, by no more than what is promised', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const worst = { fast: 0, slow: 0 }
  for (let tried = 0; tried < 3000; tried += 1) {
    const capacity = Math.ceil(10 ** (random.next() * 9))
    const units = Math.ceil(10 ** (random.next() * 9))
    const us = random.pick([SECOND_US, 60 * SECOND_US, 3600 * SECOND_US, 86_400 * SECOND_US])
    const terms = bucketTerms(capacity, { units, us })
    if ((units * SECOND_US) / us > MAX_UNITS) continue
    if (terms === undefined) {
      t.ok((capacity * us) / units > 365 * 86_400 * SECOND_US, `${capacity} at ${units} in ${us}`)
      continue
    }
    const { ticksPerUs, emissionTicks, toleranceTicks, toleranceUs } = terms
    t.ok(Number.isSafeInteger(toleranceTicks * 2) && toleranceTicks === capacity * emissionTicks)
    t.ok(toleranceUs >= toleranceTicks / ticksPerUs)
    const exact = BigInt(us) * BigInt(ticksPerUs)
    const over = BigInt(emissionTicks) * BigInt(units) - exact
    t.ok(over >= 0n && over < BigInt(units), 'rounded up, by less than a tick')
    const share = Number(over) / Number(exact)
    if (ticksPerUs === 1_000_000) worst.fast = Math.max(worst.fast, share)
    else worst.slow = Math.max(worst.slow, share)
  }
  t.ok(worst.fast <= 0.001, `${worst.fast}`)
  t.ok(worst.slow <= 0.000003, `${worst.slow}`)
})

t.test('a stored time that is too late counts as a bucket that was just emptied', async (t) => {
  const terms = termsOf(10, 1)
  for (const late of [10_000_001, 1e15, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY, Number.NaN]) {
    t.equal(usedTicks(terms, 0, late, 0, terms.toleranceUs), terms.toleranceTicks)
    t.equal(usedTicks(terms, 0, late, 0, 5), terms.toleranceTicks)
    t.equal(usedTicks(terms, 0, late, 0, 0), terms.toleranceTicks)
  }
  t.equal(usedTicks(terms, 0, -1, 0, terms.toleranceUs), 0)
})

t.test('other terms keep the used fraction', async (t) => {
  const before = termsOf(100, 2)
  const half = before.toleranceTicks / 2
  const [us, ps] = [fullAtUs(before, 1000, half), fullAtPs(before, half)]
  for (const [capacity, units, per, left] of [
    [10, 2, SECOND_US, 5],
    [1000, 2, SECOND_US, 500],
    [100, 500, SECOND_US, 50],
    [100, 1, 3600 * SECOND_US, 50],
    [1, 1, SECOND_US, 0],
  ] as const) {
    const after = termsOf(capacity, units, per)
    t.equal(remainingUnits(after, usedTicks(after, 1000, us, ps, before.toleranceUs)), left)
  }
})

t.test('what a clock says is counted in whole microseconds', async (t) => {
  t.equal(microseconds(123.457), 123_457)
  t.equal(microseconds(0.0004), 0)
})
