import t from 'tap'
import { median, orderOfTurn, ratioOf, type Slice, spreadOf } from '../src/harness/statistics.ts'

const slice = (variant: string, round: number, position: number, ns: number): Slice => ({
  variant,
  round,
  position,
  figures: { ns },
})

t.test('the median is the middle value, or the mean of the two middle ones', async (t) => {
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.ok(Number.isNaN(median([])))
})

t.test('the median does not reorder what it was given', async (t) => {
  const values = [3, 1, 2]
  median(values)
  t.same(values, [3, 1, 2])
})

t.test(
  'a ratio divides each slice by the neighbours before and after it, not by the average of the run',
  async (t) => {
    // The machine becomes ten times slower in the middle of the round; the true ratio is 2 throughout.
    const slices = [
      slice('bare', 0, 0, 10),
      slice('ours', 0, 1, 20),
      slice('bare', 0, 2, 10),
      slice('bare', 0, 3, 100),
      slice('ours', 0, 4, 200),
      slice('bare', 0, 5, 100),
      slice('ours', 0, 6, 200),
    ]
    t.same(ratioOf(slices, 'ours', 'bare', 'ns'), { median: 2, min: 2, max: 2 })
  },
)

t.test('a ratio never pairs slices of different rounds', async (t) => {
  const slices = [
    slice('bare', 0, 0, 10),
    slice('ours', 0, 1, 30),
    slice('bare', 1, 0, 1000),
    slice('ours', 1, 1, 1000),
  ]
  t.same(ratioOf(slices, 'ours', 'bare', 'ns'), { median: 2, min: 1, max: 3 })
})

t.test('an A/A control compares the slices of two variants of the same thing to one', async (t) => {
  const slices = [slice('a', 0, 0, 7), slice('b', 0, 1, 7), slice('a', 0, 2, 7)]
  t.equal(ratioOf(slices, 'b', 'a', 'ns').median, 1)
})

t.test('the range is that of the rounds, so one bad slice does not widen it', async (t) => {
  const slices = [
    slice('ours', 0, 0, 10),
    slice('ours', 0, 1, 10),
    slice('ours', 0, 2, 900),
    slice('ours', 1, 0, 12),
    slice('ours', 1, 1, 12),
  ]
  t.same(spreadOf(slices, 'ours', 'ns'), { median: 12, min: 10, max: 12 })
})

t.test('a variant or figure that was not measured gives NaN, not a number', async (t) => {
  const slices = [slice('ours', 0, 0, 10)]
  t.ok(Number.isNaN(spreadOf(slices, 'peer', 'ns').median))
  t.ok(Number.isNaN(spreadOf(slices, 'peer', 'ns').min))
  t.ok(Number.isNaN(spreadOf(slices, 'ours', 'cpu').median))
  t.ok(Number.isNaN(ratioOf(slices, 'ours', 'peer', 'ns').median))
})

t.test('every second turn runs backward', async (t) => {
  t.same(
    [0, 1, 2].map((turn) => orderOfTurn(['a', 'b', 'c'], turn).join('')),
    ['abc', 'cba', 'abc'],
  )
})
