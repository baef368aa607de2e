import t from 'tap'
import { expiryMs, isFresh, touchIsDue } from '../src/lifetime.ts'

t.test('a session ends by whichever comes first', async (t) => {
  t.equal(expiryMs(1000, 500, 2000), 1500)
  t.equal(expiryMs(1800, 500, 2000), 2000)
})

t.test('a use is noted now and then, and often enough for a short idle time', async (t) => {
  const hour = { idleMs: 3_600_000, touchEveryMs: 60_000 }
  t.equal(touchIsDue(0, 59_999, hour), false)
  t.equal(touchIsDue(0, 60_000, hour), true)
  t.equal(touchIsDue(0, 2000, { idleMs: 8000, touchEveryMs: 60_000 }), true)
  t.equal(touchIsDue(0, 0, { idleMs: 8000, touchEveryMs: 0 }), true)
})

t.test('a proof is fresh for a while, and never of somebody who gave none', async (t) => {
  t.equal(isFresh(undefined, 0, 1000), false)
  t.equal(isFresh(100, 1100, 1000), true)
  t.equal(isFresh(100, 1101, 1000), false)
})
