import { withRetryAfter } from '@holdfast/footing'
import t from 'tap'

t.test('whole seconds are rounded up and never 0', async (t) => {
  const error = new Error('full')
  t.equal(withRetryAfter(error, 1001), error)
  t.match(error, { retryAfterMs: 1001, retryAfterSeconds: 2 })
  t.match(withRetryAfter(new Error('full'), 0), { retryAfterMs: 0, retryAfterSeconds: 1 })
})
