import t from 'tap'
import { pass, type Window, windowAt } from '../src/window.ts'

const limits = { maxPerWindow: 2, windowMs: 100 }

t.test('lets as many pass as the window holds, and says when the next begins', async (t) => {
  let window: Window | undefined
  const attempt = (nowMs: number) => {
    const decision = pass(window, nowMs, limits)
    window = decision.window
    return [decision.allowed, decision.retryAfterMs]
  }
  t.same(attempt(1000), [true, 0])
  t.same(attempt(1050), [true, 0])
  t.same(attempt(1060), [false, 40])
  t.same(attempt(1099), [false, 1])
  t.same(attempt(1100), [true, 0], 'a new window')
})

t.test('a window that is over counts for nothing', async (t) => {
  t.same(windowAt({ startedMs: 0, passed: 2 }, 99, 100), { startedMs: 0, passed: 2 })
  t.same(windowAt({ startedMs: 0, passed: 2 }, 100, 100), { startedMs: 100, passed: 0 })
  t.same(windowAt(undefined, 5, 100), { startedMs: 5, passed: 0 })
})

t.test('a maximum of 0 lets nobody pass', async (t) => {
  t.equal(pass(undefined, 0, { maxPerWindow: 0, windowMs: 100 }).allowed, false)
})
