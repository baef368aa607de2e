import t from 'tap'
import { systemClock } from '../src/index.ts'

t.test('the real clock tells both times and calls back once', async (t) => {
  const before = systemClock.nowMs()
  await new Promise<void>((resolve) => {
    const keepAlive = setTimeout(() => undefined, 10_000)
    systemClock.schedule(2, () => {
      clearTimeout(keepAlive)
      resolve()
    })
  })
  t.ok(systemClock.nowMs() > before)
  t.ok(Math.abs(systemClock.wallMs() - Date.now()) < 1000)
})

t.test('a cancelled callback is never called', async (t) => {
  let calls = 0
  const cancel = systemClock.schedule(1, () => {
    calls += 1
  })
  cancel()
  await new Promise((resolve) => setTimeout(resolve, 10))
  t.equal(calls, 0)
})
