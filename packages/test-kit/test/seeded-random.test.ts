import t from 'tap'
import { seededRandom, xoshiro } from '../src/seeded-random.ts'

// A seed in the environment of the whole run would be taken for the ones that these tests set.
const { HOLDFAST_SEED: _, ...environment } = process.env
t.beforeEach(() => {
  process.env = environment
})

t.test('xoshiro128** gives the published numbers', async (t) => {
  // The state 1, 2, 3, 4, as in the tests of Rust's rand_xoshiro, which took them from the authors' C code.
  const state: [number, number, number, number] = [1, 2, 3, 4]
  const answers = Array.from({ length: 10 }, () => xoshiro(state))
  t.same(
    answers,
    [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804],
  )
})

t.test('the same seed gives the same numbers, another seed others', async (t) => {
  const draw = (seed: number) => {
    const random = seededRandom(seed)
    return Array.from({ length: 20 }, () => random.next())
  }
  t.same(draw(7), draw(7))
  t.notSame(draw(7), draw(8))
  t.notSame(draw(7), draw(7 + 2 ** 32))
  t.ok(draw(0).every((number) => number >= 0 && number < 1))
})

t.test('int() reaches both ends and nothing beyond', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const seen = new Set(Array.from({ length: 1000 }, () => random.int(-2, 2)))
  t.same(
    [...seen].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2],
  )
  t.equal(random.int(3, 3), 3)
  t.throws(() => random.int(2, 1), RangeError)
  t.throws(() => random.int(0.5, 1), RangeError)
  t.throws(() => random.int(0, Number.POSITIVE_INFINITY), RangeError)
})

t.test('numbers are spread evenly', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const counts = Array.from({ length: 10 }, () => 0)
  for (let draw = 0; draw < 100_000; draw += 1) {
    const digit = random.int(0, 9)
    counts[digit] = (counts[digit] ?? 0) + 1
  }
  // 10,000 each, with a standard deviation of 95: six of them are never reached by chance.
  t.ok(
    counts.every((count) => Math.abs(count - 10_000) < 570),
    counts.join(' '),
  )
})

t.test('pick() takes one of the list and refuses an empty one', async (t) => {
  const random = seededRandom(3)
  const seen = new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c'])))
  t.same([...seen].sort(), ['a', 'b', 'c'])
  t.throws(() => random.pick([]), RangeError)
})

t.test('shuffle() keeps every element and the list itself', async (t) => {
  const list = Array.from({ length: 50 }, (_, index) => index)
  const shuffled = seededRandom(1).shuffle(list)
  t.notSame(shuffled, list)
  t.same(
    [...shuffled].sort((a, b) => a - b),
    list,
  )
  t.same(list.slice(0, 3), [0, 1, 2])
})

t.test('HOLDFAST_SEED wins, an empty one is none, a wrong one is refused', async (t) => {
  process.env = { ...environment, HOLDFAST_SEED: '42' }
  t.equal(seededRandom(7).seed, 42)
  const comments: string[] = []
  seededRandom().announce({ comment: (text) => comments.push(text) })
  t.same(comments, ['HOLDFAST_SEED=42'])
  process.env = { ...environment, HOLDFAST_SEED: '' }
  t.equal(seededRandom(7).seed, 7)
  process.env = { ...environment, HOLDFAST_SEED: 'seven' }
  t.throws(() => seededRandom(), { message: /HOLDFAST_SEED.*seven/ })
  process.env = environment
  t.throws(() => seededRandom(0.5), RangeError)
})
