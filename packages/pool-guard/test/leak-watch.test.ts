import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { fingerprint, type LeakReport, LeakWatch, type Watched } from '../src/leak-watch.ts'

function watchOn(clock: HandClock, settings: { reclaimAfterMs?: number; stackEvery?: number } = {}) {
  const leaks: LeakReport[] = []
  const returned: LeakReport[] = []
  const watch = new LeakWatch({
    clock,
    leakAfterMs: 1000,
    reclaimAfterMs: Number.POSITIVE_INFINITY,
    stackEvery: 1,
    onLeak: (report) => leaks.push(report),
    onReturned: (report) => returned.push(report),
    ...settings,
  })
  const held = (state: LeakReport['state'], stack?: string): Watched & { reclaimed?: number } => {
    const acquiredMs = clock.nowMs()
    return {
      acquiredMs,
      acquiredAt: undefined,
      reported: false,
      report: (nowMs) => ({
        heldMs: nowMs - acquiredMs,
        stateMs: 1,
        state,
        processId: 7,
        lastSql: 'select ?',
        stack,
      }),
      reclaim(heldMs) {
        this.reclaimed = heldMs
      },
    }
  }
  return { watch, leaks, returned, held }
}

t.test('a client that is held for too long is reported once, and told when it comes back', async (t) => {
  const clock = new HandClock()
  const { watch, leaks, returned, held } = watchOn(clock)
  const idle = held('idle', 'at x')
  watch.enter(idle)
  await clock.advance(999)
  t.equal(leaks.length, 0)
  await clock.advance(5000)
  t.match(leaks, [{ state: 'idle', stack: 'at x' }])
  t.equal(leaks.length, 1)
  watch.leave(idle)
  t.match(returned, [{ heldMs: 5999 }])
  await clock.advance(1000)
  t.equal(clock.pendingTimers, 0, 'nobody is watched, and no timer runs')
})

t.test('a long statement is reported, and is no leak', async (t) => {
  const clock = new HandClock()
  const { watch, leaks, held } = watchOn(clock)
  watch.enter(held('querying'))
  watch.enter(held('idle in transaction'))
  await clock.advance(2000)
  t.strictSame(
    leaks.map(({ state }) => state),
    ['querying', 'idle in transaction'],
  )
  t.equal(watch.leaks, 1)
  t.equal(watch.held.size, 2)
  watch.stop()
  t.equal(clock.pendingTimers, 0)
})

t.test('a client that comes back in time costs nothing but its place', async (t) => {
  const clock = new HandClock()
  const { watch, leaks, returned, held } = watchOn(clock)
  const brief = held('idle')
  watch.enter(brief)
  watch.leave(brief)
  await clock.advance(5000)
  t.strictSame([leaks, returned], [[], []])
})

t.test('a client is taken back after reclaimAfterMs', async (t) => {
  const clock = new HandClock()
  const { watch, held } = watchOn(clock, { reclaimAfterMs: 3000 })
  const idle = held('idle')
  watch.enter(idle)
  await clock.advance(2900)
  t.equal(idle.reclaimed, undefined)
  await clock.advance(300)
  t.ok(Number(idle.reclaimed) >= 3000)
})

t.test(
  'one checkout in so many records its stack, and after a leak without one every one does',
  async (t) => {
    const clock = new HandClock()
    const { watch, held } = watchOn(clock, { stackEvery: 3 })
    const acquire = () => watch.sample(acquire) !== undefined
    t.strictSame(
      Array.from({ length: 7 }, () => acquire()),
      [true, false, false, true, false, false, true],
    )
    watch.enter(held('idle'))
    await clock.advance(2000)
    t.ok(Array.from({ length: 1000 }, () => acquire()).every((recorded) => recorded))
    t.notOk(acquire())
  },
)

t.test('a fingerprint shows no literal and no comment, and is bounded', async (t) => {
  const cases = [
    ["select * from t where name = 'Bob''s' and id = 42", 'select * from t where name = ? and id = ?'],
    ["select E'a\\'b', -1.5e-3, $1::int, t2.c3 from t2", 'select ?, ?, $1::int, t2.c3 from t2'],
    ['select /* secret */ 1 -- secret\n from t', 'select ? from t'],
    ['select $$secret$$, $x$secret $$ x$x$', 'select ?, ?'],
    ["select 'unfinished secret", 'select ?'],
  ] as const
  for (const [sql, expected] of cases) t.equal(fingerprint(sql), expected)
  t.equal(fingerprint(`select ${'a, '.repeat(1000)}b`).length, 203)
})
