import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { backoffMs } from '../src/backoff.ts'

const backoff = { baseMs: 200, factor: 2, maxBackoffMs: 1000 }

t.test('the wait doubles from attempt to attempt, up to its maximum', async (t) => {
  const middle = () => 0.5
  t.strictSame(
    [1, 2, 3, 4, 5, 1000, 5000].map((failed) => backoffMs(failed, backoff, middle)),
    [200, 400, 800, 1000, 1000, 1000, 1000],
  )
})

t.test('chance varies it from half to one and a half times', async (t) => {
  t.equal(
    backoffMs(1, backoff, () => 0),
    100,
  )
  const random = seededRandom()
  random.announce(t)
  const waits = Array.from({ length: 10_000 }, () => backoffMs(1, backoff, random.next))
  t.ok(Math.min(...waits) >= 100)
  t.ok(Math.max(...waits) < 300)
  t.ok(Math.min(...waits) < 105 && Math.max(...waits) > 295, 'the whole range is used')
  const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length
  t.ok(Math.abs(mean - 200) < 5, `the mean is the base: ${mean}`)
})

t.test('no wait at all is a wait of 0', async (t) => {
  t.equal(backoffMs(3, { ...backoff, baseMs: 0 }, Math.random), 0)
})
