import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import {
  type CheckState,
  initialState,
  levelOf,
  type Observation,
  observe,
  type StatePolicy,
} from '../src/check-state.ts'

const policy: StatePolicy = { failAfter: 3, recoverAfter: 2, minDwellMs: 2000, staleAfterMs: 16_000 }
const good: Observation = { outcome: 'healthy', firm: true }
const slow: Observation = { outcome: 'degraded', firm: false }
const limping: Observation = { outcome: 'degraded', firm: true }
const timedOut: Observation = { outcome: 'unhealthy', firm: false }
const refused: Observation = { outcome: 'unhealthy', firm: true }

/** One observation every `stepMs`; the levels after each. */
function levels(observations: readonly Observation[], stepMs = 1000, p: StatePolicy = policy): string[] {
  let state = initialState
  return observations.map((observation, index) => {
    state = observe(state, p, observation, index * stepMs)
    return levelOf(state, p, index * stepMs)
  })
}

t.test('a check is starting before its first observation', async (t) => {
  t.equal(levelOf(initialState, policy, 1_000_000), 'starting')
})

t.test('the first success decides alone', async (t) => {
  t.strictSame(levels([good]), ['healthy'])
  t.strictSame(levels([limping]), ['degraded'])
  t.strictSame(
    levels([slow]),
    ['healthy'],
    'a first slow answer is a cold connection, not yet a slow dependency',
  )
  t.strictSame(levels([refused, good]), ['unhealthy', 'healthy'], 'also after explicit failures')
  t.strictSame(levels([timedOut, timedOut, timedOut, good]), ['starting', 'starting', 'unhealthy', 'healthy'])
})

t.test('explicit trouble counts at once', async (t) => {
  t.strictSame(levels([good, refused]), ['healthy', 'unhealthy'])
  t.strictSame(levels([good, limping]), ['healthy', 'degraded'])
  t.strictSame(levels([good, good, limping, refused], 1), ['healthy', 'healthy', 'degraded', 'unhealthy'])
})

t.test('ambiguous trouble counts at the third time in a row, not before', async (t) => {
  t.strictSame(levels([good, timedOut, timedOut]).at(-1), 'healthy')
  t.strictSame(levels([good, timedOut, timedOut, timedOut]).at(-1), 'unhealthy')
  t.strictSame(
    levels([good, timedOut, timedOut, good, timedOut, timedOut]).at(-1),
    'healthy',
    'a success ends the row',
  )
  t.strictSame(levels([good, slow, slow, slow]).at(-1), 'degraded')
  t.strictSame(
    levels([good, slow, timedOut, timedOut]).at(-1),
    'degraded',
    'three in a row were at least degraded, only two were worse',
  )
})

t.test('two successes in a row recover, one does not', async (t) => {
  t.strictSame(levels([good, refused, good]).at(-1), 'unhealthy')
  t.strictSame(levels([good, refused, good, good]).at(-1), 'healthy')
  t.strictSame(levels([good, refused, good, timedOut, good]).at(-1), 'unhealthy', 'a failure ends the row')
  t.strictSame(
    levels([good, refused, limping, limping]).at(-1),
    'degraded',
    'it recovers as far as it was found',
  )
})

t.test('a level is kept for the minimum dwell, except for explicit trouble', async (t) => {
  t.strictSame(levels([good, refused, good, good, good], 500).at(-1), 'unhealthy', '1500 ms after the change')
  t.strictSame(
    levels([good, refused, good, good, good, good], 500).at(-1),
    'healthy',
    '2000 ms after the change',
  )
  t.strictSame(
    levels([good, timedOut, timedOut, timedOut], 500).at(-1),
    'healthy',
    'ambiguous trouble waits, too',
  )
  t.strictSame(levels([good, refused], 1).at(-1), 'unhealthy')
  const hasty = { ...policy, minDwellMs: 0 }
  t.strictSame(levels([good, refused, good, good], 1, hasty).at(-1), 'healthy', '0 is honoured')
})

t.test('an old result is unknown, whatever it was', async (t) => {
  const state = observe(initialState, policy, good, 0)
  t.equal(levelOf(state, policy, 16_000), 'healthy')
  t.equal(levelOf(state, policy, 16_001), 'unknown')
  const failed = observe(state, policy, refused, 1)
  t.equal(levelOf(failed, policy, 20_000), 'unknown')
  t.equal(levelOf(observe(failed, policy, good, 20_000), policy, 20_000), 'unhealthy', 'a new result ends it')
})

// What the algorithm promises, said in another way: each line looks back over the whole history.
function historyLevel(
  history: readonly { observation: Observation; atMs: number }[],
  p: StatePolicy,
): string {
  const first = history.findIndex(({ observation }) => observation.outcome !== 'unhealthy')
  const line = (bad: (observation: Observation) => boolean): boolean => {
    let crossed = false
    let movedAtMs = Number.NEGATIVE_INFINITY
    let since = 0
    for (const [index, { observation, atMs }] of history.entries()) {
      const flip = (): void => {
        crossed = !crossed
        movedAtMs = atMs
        since = index + 1
      }
      if (index === first) {
        crossed = bad(observation) && observation.firm
        movedAtMs = atMs
        since = crossed || !bad(observation) ? index + 1 : index
        continue
      }
      const row = history.slice(since, index + 1)
      const start = row.findLastIndex((one) => bad(one.observation) === crossed)
      const contrary = row.length - 1 - start
      if (bad(observation) === crossed) continue
      if (!crossed && observation.firm) flip()
      else if (contrary >= (crossed ? p.recoverAfter : p.failAfter) && atMs - movedAtMs >= p.minDwellMs)
        flip()
    }
    return crossed
  }
  if (line(({ outcome }) => outcome === 'unhealthy')) return 'unhealthy'
  if (first === -1) return 'starting'
  return line(({ outcome }) => outcome !== 'healthy') ? 'degraded' : 'healthy'
}

t.test(
  'random traces: the state agrees with the whole history, and never flaps faster than it may',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const kinds = [good, good, good, slow, limping, timedOut, timedOut, refused]
    let seen = 0
    for (let trace = 0; trace < 300; trace += 1) {
      const p = {
        failAfter: random.int(1, 4),
        recoverAfter: random.int(1, 4),
        minDwellMs: random.pick([0, 500, 3000]),
        staleAfterMs: Number.POSITIVE_INFINITY,
      }
      let state: CheckState = initialState
      let nowMs = 0
      let level = 'starting'
      let recoveredAtMs = Number.NEGATIVE_INFINITY
      const history: { observation: Observation; atMs: number }[] = []
      for (let step = 0; step < 40; step += 1) {
        nowMs += random.int(1, 1500)
        const observation = random.pick(kinds)
        history.push({ observation, atMs: nowMs })
        state = observe(state, p, observation, nowMs)
        const next = levelOf(state, p, nowMs)
        const expected = historyLevel(history, p)
        if (next !== expected) {
          t.equal(next, expected, JSON.stringify({ p, history }))
          return
        }
        if (level === 'unhealthy' && next !== 'unhealthy' && state.succeeded) recoveredAtMs = nowMs
        if (
          next === 'unhealthy' &&
          level !== 'unhealthy' &&
          !observation.firm &&
          nowMs - recoveredAtMs < p.minDwellMs
        ) {
          t.fail('an ambiguous failure undid a recovery before the dwell', { p, history })
        }
        level = next
        seen += 1
      }
    }
    t.equal(seen, 300 * 40)
  },
)
