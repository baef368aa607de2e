import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { RollingWindow } from '../src/rolling-window.ts'

t.test('a call counts as long as its slice belongs to the window, and not longer', async (t) => {
  const window = new RollingWindow(1000, 10, 0)
  window.record(50, true, false)
  window.record(999, false, true)
  t.match(window, { calls: 2, failures: 1, slow: 1 })
  window.advance(1000)
  t.match(window, { calls: 1, failures: 0, slow: 1 }, 'the first tenth is gone')
  window.advance(1900)
  t.match(window, { calls: 0, failures: 0, slow: 0 })
})

t.test('a pause of years is a few steps, and the slices stay in time', async (t) => {
  const window = new RollingWindow(1000, 10, 0)
  for (let call = 0; call < 5; call += 1) window.record(call, true, true)
  window.record(1e12 + 30, false, false)
  t.match(window, { calls: 1, failures: 0, slow: 0 })
  window.advance(1e12 + 1030)
  t.equal(window.calls, 0)
})

t.test('reset begins with nothing, at any time', async (t) => {
  const window = new RollingWindow(100, 10, 0)
  window.record(95, true, true)
  window.reset(1_000)
  t.match(window, { calls: 0, failures: 0, slow: 0 })
  window.record(1_005, true, false)
  t.strictSame(window.slices(1_005).at(-1), [1, 1, 0])
})

t.test('agrees with a list of all calls, in random traces', async (t) => {
  const random = seededRandom()
  random.announce(t)
  let fullest = 0
  for (let trace = 0; trace < 100; trace += 1) {
    const buckets = random.int(1, 12)
    const windowMs = buckets * random.int(1, 50)
    const bucketMs = windowMs / buckets
    let nowMs = random.int(0, 1000)
    const originMs = nowMs
    const window = new RollingWindow(windowMs, buckets, nowMs)
    const all: { bucket: number; failed: boolean; slow: boolean }[] = []
    for (let step = 0; step < 200; step += 1) {
      nowMs += random.pick([0, 0, 1, random.int(0, windowMs * 2)])
      const bucket = Math.floor((nowMs - originMs) / bucketMs)
      const call = { bucket, failed: random.next() < 0.5, slow: random.next() < 0.3 }
      if (random.next() < 0.8) {
        window.record(nowMs, call.failed, call.slow)
        all.push(call)
      } else window.advance(nowMs)
      const kept = all.filter((known) => known.bucket > bucket - buckets)
      const expected = [
        kept.length,
        kept.filter(({ failed }) => failed).length,
        kept.filter(({ slow }) => slow).length,
      ]
      fullest = Math.max(fullest, window.calls)
      const found = [window.calls, window.failures, window.slow]
      if (found.join() !== expected.join()) {
        throw new Error(`trace ${trace}, step ${step}: counts ${found}, should count ${expected}`)
      }
    }
  }
  t.ok(fullest > 10, 'the traces have filled windows')
})

t.test('what was exported is put back, older by the time that has passed', async (t) => {
  const window = new RollingWindow(1000, 10, 0)
  window.record(0, true, false)
  window.record(950, false, true)
  const later = new RollingWindow(1000, 10, 5_000_000)
  later.restore(window.slices(950), 0)
  t.match(later, { calls: 2, failures: 1, slow: 1 })
  later.advance(5_000_100)
  t.match(later, { calls: 1, failures: 0, slow: 1 })
  const muchLater = new RollingWindow(1000, 10, 0)
  muchLater.restore(window.slices(950), 901)
  t.equal(muchLater.calls, 0)
})
