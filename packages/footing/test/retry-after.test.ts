import { wholeSeconds, withRetryAfter } from '@holdfast/footing'
import t from 'tap'

t.test('whole seconds are rounded up and never 0', async (t) => {
  const error = new Error('full')
  t.equal(withRetryAfter(error, 1001), error)
  t.match(error, { retryAfterMs: 1001, retryAfterSeconds: 2 })
  t.match(withRetryAfter(new Error('full'), 0), { retryAfterMs: 0, retryAfterSeconds: 1 })
})

t.test('a header may also say that there is nothing to wait for', async (t) => {
  t.equal(wholeSeconds(0), 1)
  t.equal(wholeSeconds(0, 0), 0)
  t.equal(wholeSeconds(0.5, 0), 1)
  t.equal(wholeSeconds(60_000, 0), 60)
})
