import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { Sketch } from '../src/sketch.ts'

t.test('alone, an estimate is the count of this window and the last', async (t) => {
  const sketch = new Sketch(1024, 1000)
  t.equal(sketch.add(7, 3, 1, 0), 1)
  t.equal(sketch.add(7, 3, 4, 500), 5)
  t.equal(sketch.add(7, 3, 1, 1500), 6)
  t.equal(sketch.add(7, 3, 1, 2500), 2, 'the first window is over')
  t.equal(sketch.add(7, 3, 1, 9000), 1, 'everything is over')
})

t.test('what is remembered of somebody counts for the next estimate', async (t) => {
  const sketch = new Sketch(1024, 1000)
  sketch.remember(7, 3, 40, 0)
  t.equal(sketch.add(7, 3, 1, 1), 41)
  sketch.remember(7, 3, 10, 2)
  t.equal(sketch.add(7, 3, 1, 3), 52)
  t.equal(sketch.most(7, 3, 1500), 52)
  t.equal(sketch.most(7, 3, 2500), 0)
})

t.test('a count stands still at its most, and does not begin again', async (t) => {
  const sketch = new Sketch(1024, 1000)
  sketch.add(7, 3, 65_000, 0)
  t.ok(sketch.add(7, 3, 65_000, 0) >= 65_000)
  t.ok(sketch.add(7, 3, 1, 0) >= 65_000)
})

t.test('a million different things leave hardly a trace in the estimate of another', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const sketch = new Sketch(65_536, 60_000)
  const hash = () => random.int(0, 2 ** 32 - 1) | 0
  for (let count = 0; count < 1_000_000; count += 1) sketch.add(hash(), hash() | 1, 1, 0)
  let highest = 0
  for (let count = 0; count < 1000; count += 1)
    highest = Math.max(highest, sketch.add(hash(), hash() | 1, 1, 0))
  t.ok(highest < 50, `the highest of a thousand newcomers is ${highest}`)
  const [one, other] = [hash(), hash() | 1]
  let last = 0
  for (let count = 0; count < 100; count += 1) last = sketch.add(one, other, 1, 0)
  t.ok(last >= 80, `a hundred of one are seen as ${last}`)
})
