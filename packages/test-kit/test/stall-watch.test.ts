import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { StallWatch } from '../src/stall-watch.ts'

t.test('tells the longest time in which nothing else could run', async (t) => {
  const stalls = new StallWatch()
  t.teardown(() => stalls.stop())
  await sleep(20)
  const endsMs = performance.now() + 300
  while (performance.now() < endsMs);
  await sleep(20)
  t.ok(stalls.longestMs >= 200, `${stalls.longestMs} ms`)
  t.equal(stalls.allowanceMs(2), 2 * stalls.longestMs)
  t.equal(stalls.allowanceMs(), 4 * stalls.longestMs)
  stalls.reset()
  t.equal(stalls.longestMs, 0)
})
