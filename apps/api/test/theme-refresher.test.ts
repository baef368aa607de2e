import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { type Sighting, ThemeRefresher, type ThemeTurn } from '../src/routes/public-theme/theme-refresher.ts'

const INTERVAL_MS = 5000

function setUp({ maxThemes = 100, maxBatch = 100 } = {}) {
  const clock = new HandClock()
  const versions = new Map<string, bigint>()
  const random = seededRandom()
  const state = {
    calls: 0,
    queries: [] as string[],
    failing: false,
    prepared: true,
    inside: 0,
    most: 0,
    slowMs: 0,
    failingSlug: undefined as string | undefined,
    ageMs: 0,
    recalled: undefined as Sighting | undefined,
  }
  const turns: ThemeTurn[] = []
  const batches: string[][] = []
  const kept = new Map<string, bigint>()
  const confirmations: boolean[] = []
  const recalls: string[][] = []
  const ages: (number | undefined)[] = []
  const ask = async <T>(name: string, answer: () => T): Promise<T> => {
    state.queries.push(name)
    state.inside += 1
    state.most = Math.max(state.most, state.inside)
    if (state.slowMs > 0) await new Promise<void>((resolve) => clock.schedule(state.slowMs, resolve))
    state.inside -= 1
    if (state.failing) throw new Error('the database is away')
    return answer()
  }
  const refresher = new ThemeRefresher({
    source: {
      look: () =>
        ask('look', () => ({
          fingerprint: JSON.stringify([...versions].map(String).sort()),
          versions: new Map([...versions].sort().slice(0, maxThemes + 1)),
          ageMs: state.ageMs,
          fence: undefined,
        })),
      recall: async () => state.recalled,
    },
    target: {
      refresh: (themes) =>
        ask('load', () => {
          const slugs = [...themes.keys()]
          if (slugs.some((slug) => slug === state.failingSlug)) throw new Error('a load failed')
          batches.push(slugs)
          for (const slug of slugs) kept.set(slug, versions.get(slug) ?? 0n)
        }),
      recall: async (slugs) => {
        recalls.push([...slugs])
      },
      retain: async (slugs) => {
        for (const slug of [...kept.keys()]) if (!slugs.has(slug)) kept.delete(slug)
      },
      beginConfirmation: () => (current, ageMs) => {
        confirmations.push(current)
        ages.push(ageMs)
      },
    },
    clock,
    random: () => random.next(),
    intervalMs: INTERVAL_MS,
    maxThemes,
    maxBatch,
    prepare: async () => {
      if (!state.prepared) throw new Error('migrations are missing')
    },
    onTurn: (turn) => turns.push(turn),
  })
  return { clock, versions, state, turns, batches, kept, refresher, random, confirmations, recalls, ages }
}

t.test('the first turn loads everything in one batch, a quiet one asks one question', async (t) => {
  const { clock, versions, state, batches, kept, refresher, confirmations } = setUp()
  versions.set('acme', 1n).set('globex', 2n)
  t.match(await refresher.start(), { ok: true, changed: 2, themes: 2 })
  t.strictSame(batches, [['acme', 'globex']])
  t.strictSame(kept, versions)
  state.queries.length = 0
  await clock.advance(INTERVAL_MS * 3)
  t.strictSame(state.queries, ['look', 'look', 'look'])
  t.strictSame(confirmations, [true, true, true, true], 'every good turn says that what is kept is current')
  await refresher.stop()
})

t.test(
  'a change is loaded alone, within one interval, even one with a version lower than others',
  async (t) => {
    const { clock, versions, batches, kept, refresher } = setUp()
    versions.set('acme', 1n).set('globex', 9n)
    await refresher.start()
    versions.set('acme', 5n)
    await clock.advance(INTERVAL_MS)
    t.strictSame(batches.at(-1), ['acme'])
    versions.set('globex', 3n)
    await clock.advance(INTERVAL_MS)
    t.strictSame(batches.at(-1), ['globex'], 'also when the database went back to a backup')
    t.strictSame(kept, versions)
    await refresher.stop()
  },
)

t.test('deleted and suspended tenants are forgotten within one interval', async (t) => {
  const { clock, versions, kept, refresher } = setUp()
  versions.set('acme', 1n).set('globex', 2n)
  await refresher.start()
  versions.delete('acme')
  await clock.advance(INTERVAL_MS)
  t.strictSame([...kept.keys()], ['globex'])
  await refresher.stop()
})

t.test('turns never overlap, however slow the database is', async (t) => {
  const { clock, versions, state, refresher, turns } = setUp()
  versions.set('acme', 1n)
  state.slowMs = INTERVAL_MS * 4
  const first = refresher.start()
  await clock.advance(INTERVAL_MS * 40)
  await first
  t.equal(state.most, 1)
  t.ok(turns.length >= 2 && turns.length <= 10, `${turns.length} turns`)
  const stopped = refresher.stop()
  await clock.advance(INTERVAL_MS * 40)
  await stopped
  t.equal(clock.pendingTimers, 0, 'nothing is left on the clock')
})

t.test(
  'a failed turn backs off with jitter, at most three intervals, and the loop goes on by itself',
  async (t) => {
    const { clock, versions, state, turns, kept, refresher, random } = setUp()
    random.announce(t)
    versions.set('acme', 1n)
    state.failing = true
    t.match(await refresher.start(), { ok: false, failures: 1 })
    await clock.advance(INTERVAL_MS * 60)
    const pauses = turns.map((turn) => (turn.ok ? 0 : turn.retryInMs))
    t.ok(pauses.length >= 20, `${pauses.length} turns in 60 intervals`)
    t.ok(pauses.every((pause) => pause >= INTERVAL_MS / 2 && pause <= INTERVAL_MS * 3))
    t.ok(new Set(pauses).size > 10, 'they differ')
    state.failing = false
    await clock.advance(INTERVAL_MS * 3)
    t.match(turns.at(-1), { ok: true })
    t.equal(kept.get('acme'), 1n)
    t.equal(refresher.snapshot().failures, 0)
    await refresher.stop()
  },
)

t.test('a turn that failed half-way is done again', async (t) => {
  const { clock, versions, state, batches, kept, refresher } = setUp({ maxBatch: 1 })
  versions.set('a', 1n).set('b', 2n)
  state.failingSlug = 'b'
  t.match(await refresher.start(), { ok: false })
  t.strictSame([...kept.keys()], ['a'])
  state.failingSlug = undefined
  await clock.advance(INTERVAL_MS * 2)
  t.strictSame(kept, versions)
  t.strictSame(batches, [['a'], ['a'], ['b']])
  await refresher.stop()
})

t.test('the number of themes and the size of a batch are bounded', async (t) => {
  const { versions, batches, kept, refresher } = setUp({ maxThemes: 7, maxBatch: 3 })
  for (let index = 0; index < 9; index += 1) versions.set(`t${index}`, BigInt(index))
  t.match(await refresher.start(), { ok: true, changed: 7, themes: 7, overLimit: true })
  t.strictSame(
    batches.map(({ length }) => length),
    [3, 3, 1],
  )
  t.notOk(kept.has('t7'))
  t.equal(refresher.snapshot().themes, 7)
  await refresher.stop()
})

t.test('nothing is asked before the database is prepared, and health says so', async (t) => {
  const { clock, state, refresher, confirmations } = setUp()
  state.prepared = false
  t.match(await refresher.start(), { ok: false, error: { message: 'migrations are missing' } })
  t.strictSame(state.queries, [])
  t.match(refresher.health(), { status: 'healthy', data: { lastSuccessAgeMs: undefined } }, 'give it time')
  await clock.advance(INTERVAL_MS * 4)
  t.match(refresher.health(), { status: 'degraded', data: { lastSuccessAgeMs: undefined } })
  state.prepared = true
  await clock.advance(INTERVAL_MS * 3)
  t.match(refresher.health(), { status: 'healthy' })
  state.failing = true
  await clock.advance(INTERVAL_MS * 4)
  t.equal(confirmations.at(-1), false, 'and a bad one that it cannot say so')
  t.match(refresher.health(), { status: 'degraded', data: { lastSuccessAgeMs: Number } })
  await refresher.stop()
})

t.test('what was seen a while ago confirms no more than that', async (t) => {
  const { state, refresher, ages } = setUp()
  state.ageMs = 1234
  await refresher.start()
  t.strictSame(ages, [1234])
  await refresher.stop()
})

t.test('whoever calls has the next turn begin at once, or after the one that runs', async (t) => {
  const { clock, versions, state, refresher, turns, batches } = setUp()
  refresher.wake()
  t.equal(turns.length, 0, 'not before the start')
  await refresher.start()
  versions.set('acme', 1n)
  refresher.wake()
  await clock.advance(0)
  t.strictSame(batches, [['acme']])
  state.slowMs = 100
  refresher.wake()
  versions.set('acme', 2n)
  refresher.wake()
  refresher.wake()
  await clock.advance(300)
  t.equal(turns.length, 4, 'calls during one turn make one more')
  await clock.advance(INTERVAL_MS + 200)
  t.equal(turns.length, 5, 'and the pace is the old one then')
  const stopped = refresher.stop()
  await clock.advance(INTERVAL_MS)
  await stopped
  refresher.wake()
  t.equal(clock.pendingTimers, 0)
})

t.test('a process that has never seen the database takes what others have', async (t) => {
  const { clock, state, refresher, recalls } = setUp({ maxThemes: 1 })
  const versions = new Map([
    ['acme', 1n],
    ['globex', 2n],
  ])
  state.recalled = { fingerprint: 'x', versions, ageMs: 0, fence: 1 }
  state.prepared = false
  await refresher.start()
  t.strictSame(recalls, [['acme']])
  state.prepared = true
  state.failing = true
  await clock.advance(INTERVAL_MS * 3)
  t.strictSame(recalls.at(-1), ['acme'])
  state.failing = false
  await clock.advance(INTERVAL_MS * 3)
  const { length } = recalls
  state.failing = true
  await clock.advance(INTERVAL_MS * 3)
  t.equal(recalls.length, length, 'later its own are as good')
  await refresher.stop()
})
