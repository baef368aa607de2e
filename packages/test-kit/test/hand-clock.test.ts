import t from 'tap'
import { HandClock } from '../src/hand-clock.ts'

t.test('stands still until it is advanced, and then moves both of its hands', async (t) => {
  const clock = new HandClock()
  t.equal(clock.nowMs(), 0)
  t.equal(clock.wallMs(), 1_700_000_000_000)
  await clock.advance(250)
  t.equal(clock.nowMs(), 250)
  t.equal(clock.wallMs(), 1_700_000_000_250)
  const other = new HandClock({ nowMs: 5, wallMs: 0 })
  await other.advance(0)
  t.same([other.nowMs(), other.wallMs()], [5, 0])
})

t.test('runs timers in the order of their due time, then of their creation', async (t) => {
  const clock = new HandClock({ nowMs: 1000 })
  const ran: string[] = []
  clock.schedule(20, () => ran.push(`late at ${clock.nowMs()}`))
  clock.schedule(10, () => ran.push(`first at ${clock.nowMs()}`))
  clock.schedule(10, () => ran.push('second'))
  clock.schedule(21, () => ran.push('too late'))
  await clock.advance(20)
  t.same(ran, ['first at 1010', 'second', 'late at 1020'])
  t.equal(clock.pendingTimers, 1)
})

t.test('runs in the same advance what its timers and their promises schedule', async (t) => {
  const clock = new HandClock()
  const ran: number[] = []
  clock.schedule(10, () => {
    void Promise.resolve()
      .then(() => {})
      .then(() => clock.schedule(5, () => ran.push(clock.nowMs())))
  })
  await clock.advance(14)
  t.same(ran, [])
  await clock.advance(1)
  t.same(ran, [15])
})

t.test('lets promises settle before the first timer', async (t) => {
  const clock = new HandClock()
  const ran: number[] = []
  void Promise.resolve().then(() => clock.schedule(1, () => ran.push(clock.nowMs())))
  await clock.advance(1)
  t.same(ran, [1])
})

t.test('a cancelled timer does not run', async (t) => {
  const clock = new HandClock()
  let ran = false
  const cancel = clock.schedule(1, () => {
    ran = true
  })
  cancel()
  cancel()
  await clock.advance(5)
  t.notOk(ran)
  t.equal(clock.pendingTimers, 0)
})

t.test('the wall clock can jump while timers keep their time', async (t) => {
  const clock = new HandClock()
  let ran = false
  clock.schedule(10, () => {
    ran = true
  })
  clock.jumpWall(-3_600_000)
  t.equal(clock.wallMs(), 1_700_000_000_000 - 3_600_000)
  t.notOk(ran)
  await clock.advance(10)
  t.ok(ran)
})

t.test('refuses times that are none', async (t) => {
  const clock = new HandClock()
  for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => clock.schedule(wrong, () => {}), RangeError)
    await t.rejects(clock.advance(wrong), RangeError)
  }
})

t.test('refuses to advance twice at once', async (t) => {
  const clock = new HandClock()
  const first = clock.advance(10)
  await t.rejects(clock.advance(10), { message: /already advancing/ })
  await first
  await clock.advance(10)
  t.equal(clock.nowMs(), 20)
})

t.test('rejects with what a callback throws, and can go on', async (t) => {
  const clock = new HandClock()
  clock.schedule(1, () => {
    throw new Error('from the callback')
  })
  await t.rejects(clock.advance(5), { message: 'from the callback' })
  t.equal(clock.nowMs(), 1)
  await clock.advance(4)
  t.equal(clock.nowMs(), 5)
})

t.test('gives up on a timer that re-arms itself without end', async (t) => {
  const clock = new HandClock()
  const again = () => {
    clock.schedule(0, again)
  }
  again()
  await t.rejects(clock.advance(1), { message: /more than 100000 timers/ })
})
