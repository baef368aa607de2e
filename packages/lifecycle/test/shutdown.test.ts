import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import {
  AWAY_QUIET_MS,
  advance,
  beginShutdown,
  hasReached,
  hearAgain,
  type Seen,
  type ShutdownStage,
  START_GRACE_MS,
  stagesSoFar,
} from '../src/shutdown.ts'

const times = {
  drainMs: 10_000,
  minDrainMs: 2000,
  quietMs: 1500,
  turnAwayMs: 0,
  requestTimeoutMs: 8000,
  abortGraceMs: 1000,
  closeTimeoutMs: 5000,
  repeatMs: 500,
}
const busy: Seen = {
  lastArrivalMs: Number.NEGATIVE_INFINITY,
  turnedAway: 0,
  stepsRunning: 0,
  startRunning: false,
  serverClosed: false,
  appClosed: false,
}
const stageAt = (nowMs: number, seen: Partial<Seen>, holdFor: 'traffic' | 'start' | 'none' = 'traffic') =>
  advance(beginShutdown(holdFor, 0, true), { ...busy, ...seen }, nowMs, times).stage

t.test('without traffic the hold ends after its shortest time, not before', async (t) => {
  t.equal(stageAt(1999, {}), 'hold')
  t.equal(stageAt(2000, {}), 'requests')
})

t.test('with traffic it goes on until nobody came for a while, and ends at its longest time', async (t) => {
  t.equal(stageAt(5499, { lastArrivalMs: 4000 }), 'hold')
  t.equal(stageAt(5500, { lastArrivalMs: 4000 }), 'requests')
  t.equal(stageAt(9999, { lastArrivalMs: 9998 }), 'hold')
  t.equal(stageAt(10_000, { lastArrivalMs: 9998 }), 'requests')
})

t.test(
  'who still sends requests at the end of the hold has some turned away, when that is asked for',
  async (t) => {
    const terms = { ...times, turnAwayMs: 500 }
    const begun = beginShutdown('traffic', 0, true)
    t.equal(advance(begun, busy, 2000, terms).stage, 'requests', 'nobody came')
    const away = advance(begun, { ...busy, lastArrivalMs: 9990 }, 10_000, terms)
    t.equal(away.stage, 'turn-away')
    t.equal(
      advance(begun, { ...busy, lastArrivalMs: 9990 }, 10_000, times).stage,
      'requests',
      'not asked for',
    )
    const quiet = { ...busy, lastArrivalMs: 10_020, turnedAway: 1 }
    t.equal(advance(away, quiet, 10_020 + AWAY_QUIET_MS - 1, terms).stage, 'turn-away')
    t.equal(advance(away, quiet, 10_020 + AWAY_QUIET_MS, terms).stage, 'requests', 'it worked')
    const posts = { ...busy, lastArrivalMs: 10_020 }
    t.equal(advance(away, posts, 10_499, terms).stage, 'turn-away')
    t.equal(advance(away, posts, 10_500, terms).stage, 'requests', 'nothing could be turned away')
    const { answer, shutdown } = hearAgain(away, 10_010, terms)
    t.equal(answer, 'skip-hold')
    t.equal(advance(shutdown, quiet, 10_020, terms).stage, 'requests')
  },
)

t.test('how long each stage takes is kept, the present one so far', async (t) => {
  const begun = beginShutdown('traffic', 1000, true)
  t.strictSame(stagesSoFar(begun, 1700), [{ stage: 'hold', durationMs: 700 }])
  const hooks = advance(advance(begun, busy, 3000, times), { ...busy, serverClosed: true }, 3040, times)
  const over = advance(hooks, { ...busy, serverClosed: true, appClosed: true }, 3100, times)
  t.strictSame(stagesSoFar(over, 9999), [
    { stage: 'hold', durationMs: 2000 },
    { stage: 'requests', durationMs: 40 },
    { stage: 'hooks', durationMs: 60 },
  ])
})

t.test('steps are waited for, also beyond the longest hold', async (t) => {
  t.equal(stageAt(12_000, { stepsRunning: 1 }), 'hold')
  t.equal(stageAt(0, { stepsRunning: 1 }, 'none'), 'hold')
  t.equal(stageAt(0, {}, 'none'), 'requests')
})

t.test('a start that is under way is waited for, but not for long', async (t) => {
  t.equal(stageAt(START_GRACE_MS - 1, { startRunning: true }, 'start'), 'hold')
  t.equal(stageAt(START_GRACE_MS, { startRunning: true }, 'start'), 'requests')
  t.equal(stageAt(0, {}, 'start'), 'requests')
})

t.test('what is not over in its time is told, cut and given up', async (t) => {
  let at = advance(beginShutdown('none', 0, false), busy, 0, times)
  t.equal(at.stage, 'requests')
  at = advance(at, busy, 7999, times)
  t.equal(at.stage, 'requests')
  at = advance(at, busy, 8000, times)
  t.equal(at.stage, 'aborted')
  at = advance(at, busy, 8999, times)
  t.equal(at.stage, 'aborted')
  at = advance(at, busy, 9000, times)
  t.equal(at.stage, 'cut')
  at = advance(at, { ...busy, serverClosed: true }, 9010, times)
  t.equal(at.stage, 'hooks')
  at = advance(at, { ...busy, serverClosed: true }, 14_009, times)
  t.equal(at.stage, 'hooks')
  at = advance(at, { ...busy, serverClosed: true }, 14_010, times)
  t.equal(at.stage, 'over')
  t.strictSame(at.overran, ['requests', 'aborted', 'hooks'])
  t.equal(advance(at, busy, 99_999, times), at)
})

t.test('a server that does not close after its connections were cut is given up', async (t) => {
  const cut = { ...beginShutdown('none', 0, false), stage: 'cut' as const, stageMs: 0 }
  t.equal(advance(cut, busy, 4999, times).stage, 'cut')
  t.match(advance(cut, busy, 5000, times), { stage: 'over', overran: ['cut'] })
})

t.test('who is in order has overrun nothing', async (t) => {
  let at = advance(beginShutdown('traffic', 0, true), busy, 2000, times)
  at = advance(at, { ...busy, serverClosed: true, appClosed: true }, 2500, times)
  t.match(at, { stage: 'over', overran: [] })
  const aborted = { ...beginShutdown('none', 0, false), stage: 'aborted' as const }
  t.equal(advance(aborted, { ...busy, serverClosed: true }, 10, times).stage, 'hooks')
})

t.test(
  'one press that arrives twice is one; the next skips the hold; the one after ends at once',
  async (t) => {
    let { answer, shutdown } = hearAgain(beginShutdown('traffic', 0, true), 499, times)
    t.equal(answer, 'same-press')
    ;({ answer, shutdown } = hearAgain(shutdown, 500, times))
    t.equal(answer, 'skip-hold')
    t.equal(advance(shutdown, busy, 500, times).stage, 'requests')
    ;({ answer, shutdown } = hearAgain(shutdown, 999, times))
    t.equal(answer, 'same-press')
    ;({ answer, shutdown } = hearAgain(shutdown, 1000, times))
    t.equal(answer, 'force')
  },
)

t.test('where there is no hold to skip, the second one ends at once', async (t) => {
  const closing = advance(beginShutdown('none', 0, true), busy, 0, times)
  t.equal(hearAgain(closing, 600, times).answer, 'force')
  const byCode = beginShutdown('traffic', 0, false)
  t.equal(hearAgain(byCode, 1, times).answer, 'skip-hold', 'a signal after stop() is no repetition')
  const byException = advance(beginShutdown('none', 0, false), busy, 0, times)
  const { answer, shutdown } = hearAgain(byException, 1, times)
  t.equal(answer, 'heard', 'the first signal of all takes nothing from requests under way')
  t.equal(hearAgain(shutdown, 499, times).answer, 'same-press')
  t.equal(hearAgain(shutdown, 501, times).answer, 'force')
})

t.test('whatever is seen, stages only go forward and all of it is bounded', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const order: readonly ShutdownStage[] = ['hold', 'turn-away', 'requests', 'aborted', 'cut', 'hooks', 'over']
  for (let run = 0; run < 300; run += 1) {
    const terms = { ...times, turnAwayMs: random.pick([0, 500]) }
    const holdFor = random.pick(['traffic', 'start', 'none'] as const)
    let at = beginShutdown(holdFor, 0, true)
    let nowMs = 0
    let appClosed = false
    while (at.stage !== 'over') {
      nowMs += random.int(0, 400)
      appClosed ||= random.next() < 0.01
      const seen = {
        lastArrivalMs: random.next() < 0.5 ? nowMs : busy.lastArrivalMs,
        stepsRunning: nowMs < 5000 && random.next() < 0.5 ? 1 : 0,
        turnedAway: random.int(0, 1),
        startRunning: random.next() < 0.5,
        serverClosed: random.next() < 0.02,
        appClosed,
      }
      const next = advance(at, seen, nowMs, terms)
      if (order.indexOf(next.stage) < order.indexOf(at.stage)) t.fail(`${at.stage} -> ${next.stage}`)
      at = next
    }
    const spentMs = at.stages.reduce((sum, { durationMs }) => sum + durationMs, 0)
    if (spentMs !== nowMs) t.fail(`the stages are ${spentMs} of ${nowMs} ms`)
    const longest =
      times.drainMs + 500 + times.requestTimeoutMs + times.abortGraceMs + 2 * times.closeTimeoutMs
    if (nowMs > longest + 7 * 400) t.fail(`it took ${nowMs} ms`)
  }
  t.ok(hasReached(beginShutdown('none', 0, false), 'hold'))
})
