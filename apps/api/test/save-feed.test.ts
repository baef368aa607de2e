// What a provider told, in the tables: what replaces what, what ends an event, and through which indexes.

import { seededRandom, startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { ProviderEvent, ProviderOdds } from '../src/provider/provider-feed.ts'
import { saveFeed } from '../src/workers/odds/save-feed.ts'
import { testGuard } from './fresh-database.ts'
import { fill, oddsDatabase, planOf, tableQueue } from './odds-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const STARTS_AT = new Date('2026-11-22T18:00:00.000Z')

function event(ref: string, version: number, more: Partial<ProviderEvent> = {}): ProviderEvent {
  return {
    ref,
    name: `${ref} v${version}`,
    startsAt: STARTS_AT,
    status: 'scheduled',
    version,
    odds: [],
    result: undefined,
    ...more,
  }
}

const home = (oddsMilli: number): ProviderOdds => ({ market: 'winner', selection: 'home', oddsMilli })
const away = (oddsMilli: number): ProviderOdds => ({ market: 'winner', selection: 'away', oddsMilli })

async function setUp(t: Test) {
  const { pool, url } = await oddsDatabase(t, postgres.directUrl)
  const save = (events: readonly ProviderEvent[], sport = 'chess') =>
    pool.transaction({}, (tx) => saveFeed(tx, { sport, events, refused: [], refusedCount: 0 }, tableQueue))
  const events = async () =>
    (
      await pool.query(
        'select sport, provider_ref as ref, name, status, result, provider_version as version from sport_events order by sport, ref',
      )
    ).rows
  const odds = async () =>
    (
      await pool.query(
        `select provider_ref || ' ' || selection || ' ' || odds_milli || ' v' || odds.provider_version as told
         from odds join sport_events on sport_events.id = event_id order by 1`,
      )
    ).rows.map((row) => row['told'])
  const jobs = async () => (await pool.query('select queue, payload, key from test_jobs order by id')).rows
  return { pool, url, save, events, odds, jobs }
}

t.test('what is newer replaces what is older, and nothing else does', async (t) => {
  const { save, events, odds } = await setUp(t)
  t.strictSame(await save([event('a', 5, { odds: [home(2000), away(1800)] }), event('b', 1)]), {
    events: 2,
    odds: 2,
    withdrawn: 0,
    ended: 0,
  })
  for (const version of [0, 4, 5]) {
    const saved = await save([
      event('a', version, {
        name: 'old',
        status: 'live',
        odds: [home(1500), { ...home(9000), selection: 'draw' }],
      }),
    ])
    t.strictSame(saved, { events: 0, odds: 0, withdrawn: 0, ended: 0 }, `version ${version}`)
  }
  t.strictSame(await odds(), ['a away 1800 v5', 'a home 2000 v5'])
  t.match(await save([event('a', 6, { status: 'live', odds: [home(2100), away(1800)] })]), {
    events: 1,
    odds: 2,
  })
  t.match(await events(), [
    { ref: 'a', name: 'a v6', status: 'live', version: '6' },
    { ref: 'b', version: '1' },
  ])
  t.match(await save([event('a', 1)], 'golf'), { events: 1 }, 'another sport has names of its own')
})

t.test('what is not newer writes no row at all', async (t) => {
  const { pool, save } = await setUp(t)
  const told = [event('a', 5, { odds: [home(2000)] }), event('b', 5, { odds: [home(2000)] })]
  await save(told)
  const places = async () =>
    (await pool.query('select ctid, xmin, xmax, id from sport_events order by id')).rows
  const before = await places()
  await save(told)
  t.strictSame(await places(), before, 'not even a lock')
})

t.test('a selection that is not named any more is withdrawn', async (t) => {
  const { save, odds } = await setUp(t)
  await save([event('a', 1, { odds: [home(2000), away(1800)] }), event('b', 1, { odds: [home(3000)] })])
  t.match(await save([event('a', 2, { odds: [home(2000)] }), event('b', 1, { odds: [] })]), {
    odds: 1,
    withdrawn: 1,
  })
  t.strictSame(await odds(), ['a home 2000 v2', 'b home 3000 v1'])
})

t.test('a result ends an event once, and puts in the job that settles it', async (t) => {
  const { pool, save, events, jobs } = await setUp(t)
  await save([event('a', 1), event('b', 1), event('c', 1)])
  const won = event('a', 2, { status: 'finished', result: { winner: 'home' } })
  const off = event('b', 2, { status: 'void' })
  const late = event('c', 1, { status: 'finished', result: { winner: 'away' } })
  t.match(await save([won, off, late]), { ended: 2 })
  t.match(await events(), [
    { ref: 'a', status: 'finished', result: { winner: 'home' }, version: '2' },
    { ref: 'b', status: 'void', result: null },
    { ref: 'c', status: 'scheduled' },
  ])
  const { rows } = await pool.query<{ id: string }>(
    `select id from sport_events where provider_ref in ('a', 'b') order by id`,
  )
  t.strictSame(
    await jobs(),
    rows.map(({ id }) => ({ queue: 'settle', payload: { event_id: id, provider_version: '2' }, key: id })),
  )

  t.match(await save([won, off]), { ended: 0 }, 'told again')
  t.match(await save([event('a', 9, { status: 'finished', result: { winner: 'away' } })]), { ended: 0 })
  t.match(await save([event('a', 10, { status: 'live', odds: [home(1500)] })]), { events: 0, odds: 0 })
  t.match(
    (await events())[0],
    { status: 'finished', result: { winner: 'home' }, version: '2' },
    'it is over for good',
  )
  t.equal((await jobs()).length, 2)
})

t.test('an event that is heard of when it is over is not kept', async (t) => {
  const { save, events, jobs } = await setUp(t)
  t.match(await save([event('a', 1, { status: 'finished', result: { winner: 'home' } })]), { ended: 0 })
  t.strictSame(await events(), [])
  t.strictSame(await jobs(), [])
})

t.test('a save that fails leaves neither a result nor a job', async (t) => {
  const { pool, save, events, jobs } = await setUp(t)
  await save([event('a', 1)])
  const won = event('a', 2, { status: 'finished', result: { winner: 'home' } })
  const feed = { sport: 'chess', events: [won], refused: [], refusedCount: 0 }
  await t.rejects(
    pool.transaction({}, async (tx) => {
      await saveFeed(tx, feed, tableQueue)
      throw new Error('afterwards')
    }),
    { message: 'afterwards' },
  )
  t.match(await events(), [{ status: 'scheduled' }])
  t.strictSame(await jobs(), [])
})

t.test('a bet that is being placed is waited for', async (t) => {
  const { pool, url, save, events } = await setUp(t)
  await save([event('a', 1)])
  const steps: string[] = []
  let saving: Promise<unknown> = Promise.resolve()
  // Of another process.
  await testGuard(t, url).transaction({}, async (tx) => {
    await tx.query('select from sport_events for share')
    saving = save([event('a', 2, { status: 'finished', result: {} })]).then(() => steps.push('ended'))
    // The other one waits for a lock by now, or will.
    for (;;) {
      const { rows } = await pool.query('select from pg_locks where not granted')
      if (rows.length > 0) break
    }
    steps.push('placed')
  })
  await saving
  t.strictSame(steps, ['placed', 'ended'])
  t.match(await events(), [{ status: 'finished', result: {} }])
})

t.test('a thousand events with all of their odds are saved, and again', async (t) => {
  const { pool, save } = await setUp(t)
  const odds = Array.from({ length: 50 }, (_, at) => ({
    market: 'total',
    selection: `s${at}`,
    oddsMilli: 2000 + at,
  }))
  const told = (version: number) =>
    Array.from({ length: 1000 }, (_, at) => event(`e${at}`, version, { odds }))
  t.match(await save(told(1)), { events: 1000, odds: 50_000 })
  t.match(await save(told(1)), { events: 0, odds: 0 })
  t.match(await save(told(2)), { events: 1000, odds: 50_000, withdrawn: 0 })
  t.strictSame((await pool.query('select count(*)::int as count from odds')).rows, [{ count: 50_000 }])
})

t.test('in whatever order words arrive, the newest of each event stands', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { save, events, odds, jobs } = await setUp(t)
  const words = Array.from({ length: 8 }, (_, at) =>
    Array.from({ length: 6 }, (_, version) =>
      event(`e${at}`, version, {
        odds: version % 2 === 0 ? [home(2000 + version)] : [home(2000 + version), away(3000)],
      }),
    ),
  ).flat()
  for (const word of random.shuffle([...words, ...words])) await save([word])
  t.ok((await events()).every(({ version }) => version === '5'))
  t.strictSame(
    await odds(),
    Array.from({ length: 8 }, (_, at) => [`e${at} away 3000 v5`, `e${at} home 2005 v5`]).flat(),
  )
  t.strictSame(await jobs(), [])
})

t.test('events are found by their names, and odds by their events, among 100,000', async (t) => {
  const { pool, save } = await setUp(t)
  await fill(pool)
  const statements: { text: string; values: readonly unknown[] }[] = []
  const refs = Array.from({ length: 100 }, (_, at) => `e${10 + at * 50}`)
  await pool.transaction({}, async (tx) => {
    const watched = {
      query(text: string, values: readonly unknown[] = []) {
        statements.push({ text, values })
        return tx.query(text, values) as never
      },
    }
    const told = refs.map((ref) => event(ref, 6, { odds: [home(2500), away(1500)] }))
    const over = refs.map((ref) => event(ref, 7, { status: 'finished', result: { winner: 'home' } }))
    await saveFeed(watched, { sport: 'sport_10', events: told, refused: [], refusedCount: 0 }, tableQueue)
    await saveFeed(watched, { sport: 'sport_10', events: over, refused: [], refusedCount: 0 }, tableQueue)
  })
  const ours = statements.filter(({ text }) => !text.includes('test_jobs'))
  t.equal(ours.length, 4, 'events, odds, what is withdrawn, results')
  await save([])
  for (const { text, values } of ours) {
    const plan = await planOf(pool, text, values)
    // By name, or the open ones of the sport, whichever are fewer.
    t.match(plan, /sport_events_(sport_provider_ref_key|by_start) /, plan)
    t.notMatch(plan, /Seq Scan on (sport_events|odds)/, plan)
    if (text.includes('odds')) t.match(plan, /odds_pkey/)
  }
})
