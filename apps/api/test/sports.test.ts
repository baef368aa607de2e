// What can be bet on, as it is told to who is signed in, from a real database, and without it.

import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import { type CompiledQuery, Kysely } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { eventsAfter, oddsAfter, sportsAfter } from '../src/routes/sports/sport-repository.ts'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { fill, oddsDatabase, planOf } from './odds-database.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const TRADER = 'acme/trader@acme.example'

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const url = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, { DATABASE_URL: url, ...environment })
  const sql = testPool(url)
  t.teardown(() => sql.end())
  await sql.query(`insert into sport_events (sport, provider_ref, name, starts_at, status, result) values
    ('chess', 'c1', 'A - B', '2030-01-01 10:00:00.000001Z', 'scheduled', null),
    ('chess', 'c2', 'C - D', '2030-01-01 09:00:00Z', 'live', null),
    ('chess', 'c3', 'E - F', '2030-01-01 08:00:00Z', 'finished', '{"winner": "home"}'),
    ('football', 'f1', 'G - H', '2030-01-01 10:00:00.000001Z', 'scheduled', null),
    ('golf', 'g1', 'I - J', '2030-01-01 07:00:00Z', 'void', null)`)
  await sql.query(`insert into odds (event_id, market, selection, odds_milli, provider_version)
    select id, market, selection, 1500 + length(selection), 1
    from sport_events, (values ('winner', 'home'), ('winner', 'away'), ('total', 'over_2')) as offer (market, selection)
    where provider_ref in ('c1', 'c3')`)
  const idOf = async (ref: string) =>
    String((await sql.query('select id from sport_events where provider_ref = $1', [ref])).rows[0]?.['id'])
  const token = await bearerOf(url, TRADER)
  const get = async (path: string, user: string | undefined = token) => {
    const answer = await fetch(service.url + path, {
      headers: user === undefined ? {} : { authorization: `Bearer ${user}` },
    })
    const body = (await answer.json()) as Record<string, unknown> & {
      items: Record<string, unknown>[]
      next_cursor: string | null
    }
    return { status: answer.status, headers: answer.headers, body }
  }
  return { url, service, sql, get, idOf }
}

t.test('sports, events and odds are told in pages', async (t) => {
  const { get, idOf } = await setUp(t)
  const sports = await get('/api/sports')
  t.equal(sports.status, 200)
  t.equal(sports.headers.get('cache-control'), 'private, no-cache')
  t.strictSame(sports.body, {
    items: [
      { sport: 'chess', first_starts_at: '2030-01-01T09:00:00.000Z' },
      { sport: 'football', first_starts_at: '2030-01-01T10:00:00.000Z' },
    ],
    next_cursor: null,
  })

  const events = await get('/api/events')
  t.strictSame(
    events.body.items.map(({ id }) => id),
    [await idOf('c2'), await idOf('c1'), await idOf('f1')],
    'those that start first, and are not over',
  )
  t.strictSame(events.body.items[0], {
    id: await idOf('c2'),
    sport: 'chess',
    name: 'C - D',
    starts_at: '2030-01-01T09:00:00.000Z',
    status: 'live',
  })
  t.match(await get('/api/events?sport=football'), {
    body: { items: [{ name: 'G - H' }], next_cursor: null },
  })
  t.match(await get('/api/events?sport=golf'), { status: 200, body: { items: [] } })

  const c1 = await idOf('c1')
  const odds = await get(`/api/events/${c1}/odds`)
  t.match(odds.body, {
    event: { id: c1, sport: 'chess', name: 'A - B', status: 'scheduled' },
    items: [
      { market: 'total', selection: 'over_2', odds_milli: 1506, changed_at: /Z$/ },
      { market: 'winner', selection: 'away', odds_milli: 1504 },
      { market: 'winner', selection: 'home', odds_milli: 1504 },
    ],
    next_cursor: null,
  })
  t.match(await get(`/api/events/${await idOf('c3')}/odds`), { body: { event: { status: 'finished' } } })
  t.match(await get(`/api/events/${await idOf('f1')}/odds`), {
    body: { event: { name: 'G - H' }, items: [] },
  })
})

t.test('a cursor leads through everything, one after the other', async (t) => {
  const { get, idOf } = await setUp(t)
  const c1 = await idOf('c1')
  for (const [path, count] of [
    ['/api/sports?', 2],
    ['/api/events?', 3],
    ['/api/events?sport=chess&', 2],
    [`/api/events/${c1}/odds?`, 3],
  ] as const) {
    const { items: all } = (await get(`${path}limit=100`)).body
    t.equal(all.length, count)
    const seen: unknown[] = []
    let cursor: string | null = null
    do {
      const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const { status, body } = await get(`${path}limit=1${more}`)
      t.equal(status, 200)
      seen.push(...body.items)
      cursor = body.next_cursor
    } while (cursor !== null && seen.length < 10)
    t.strictSame(seen, all, path)
  }
})

t.test('a cursor that none of these lists has given out is refused', async (t) => {
  const { get, idOf } = await setUp(t)
  const c1 = await idOf('c1')
  const refused = { status: 400, body: { error: 'HOLDFAST_ERR_API_CURSOR_INVALID' } }
  for (const cursor of ['A', '-', '1', "'"])
    t.match(await get(`/api/sports?cursor=${cursor}`), refused, cursor)
  for (const cursor of [
    '1',
    '1.',
    '.1',
    '1.0',
    '1.2.3',
    '-1.2',
    '9999999999999999.1',
    '1e3.1',
    '1.9999999999999999999',
  ]) {
    t.match(await get(`/api/events?cursor=${cursor}`), refused, cursor)
  }
  for (const cursor of ['a', 'a.', '.b', 'a.b.c', 'A.b', 'a.-']) {
    t.match(await get(`/api/events/${c1}/odds?cursor=${cursor}`), refused, cursor)
  }
  t.match(await get('/api/events?cursor=9007199254740991.9223372036854775807'), {
    status: 200,
    body: { items: [] },
  })
  for (const query of [
    'limit=0',
    'limit=101',
    'sport=Chess',
    'sport=',
    'more=1',
    `cursor=${'1'.repeat(100)}`,
  ]) {
    t.equal((await get(`/api/events?${query}`)).status, 400, query)
  }
})

t.test('events that there are not are none, and nobody is told without signing in', async (t) => {
  const { get } = await setUp(t)
  for (const id of ['999999', '0', '-1', 'abc', '9223372036854775808', '%00', '1'.repeat(50)]) {
    t.match(
      await get(`/api/events/${id}/odds`),
      { status: 404, body: { error: 'HOLDFAST_ERR_API_EVENT_UNKNOWN' } },
      id,
    )
  }
  for (const path of ['/api/sports', '/api/events', '/api/events/1/odds']) {
    t.equal((await get(path, '')).status, 401, path)
  }
})

t.test('whoever looks too often is told when to come back', async (t) => {
  const { get } = await setUp(t, { RATE_LIMITS_READ: '2/minute' })
  t.equal((await get('/api/sports')).status, 200)
  t.equal((await get('/api/events')).status, 200)
  const limited = await get('/api/sports')
  t.equal(limited.status, 429)
  t.ok(Number(limited.headers.get('retry-after')) >= 1)
})

t.test('without the database what was read last is told, as such, and to everybody', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const url = await demoDatabase(server.directUrl)
  const service = await ServiceApp.start(t, { DATABASE_URL: url })
  const sql = testPool(url)
  sql.on('error', () => {})
  await sql.query(
    `insert into sport_events (sport, provider_ref, name, starts_at) values ('chess', 'c1', 'A - B', '2030-01-01Z')`,
  )
  const tokens = [await bearerOf(url, TRADER), await bearerOf(url, 'acme/second-trader@acme.example')]
  const get = async (path: string, token = tokens[0]) => {
    const answer = await fetch(service.url + path, { headers: { authorization: `Bearer ${token}` } })
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as unknown }
  }
  const fresh = await get('/api/sports')
  t.equal(fresh.status, 200)
  for (const token of tokens) t.equal((await get('/api/events', token)).status, 200)
  await sql.end()
  await server.stop()
  await waitUntil(async () => (await get('/api/sports')).headers.get('warning') !== null)
  for (const token of tokens) {
    const stale = await get('/api/sports', token)
    t.equal(stale.status, 200)
    t.strictSame(stale.body, fresh.body)
    t.equal(stale.headers.get('warning'), '110 - "Response is Stale"')
    t.equal(stale.headers.get('cache-status'), 'holdfast; hit; detail=stale')
    t.match(stale.headers.get('age'), /^\d+$/)
  }
  const unread = await get('/api/events?sport=golf')
  t.match(unread, { status: 503, body: { error: 'HOLDFAST_ERR_API_SPORTS_UNAVAILABLE' } })
  t.ok(Number(unread.headers.get('retry-after')) >= 1)
})

t.test('every page is read through its index, among 100,000 events', async (t) => {
  const { pool } = await oddsDatabase(t, postgres.directUrl)
  await fill(pool)
  const db = new Kysely<Database>({ dialect: guardedDialect(pool) })
  const plan = ({ sql, parameters }: CompiledQuery) => planOf(pool, sql, parameters)
  const place = { startMicros: 1_795_000_000_000_000n, id: 7n }

  const sports = await plan(sportsAfter('', 21).compile(db))
  t.match(sports, /using sport_events_by_start on sport_events/, sports)
  t.notMatch(sports, /Seq Scan on sport_events/)
  t.equal((await sportsAfter('', 100).execute(db)).rows.length, 5, 'those whose tenth has not been played')

  for (const [index, query] of [
    ['sport_events_by_start', eventsAfter(db, 'sport_10', place, 21)],
    ['sport_events_by_start', eventsAfter(db, 'sport_10', undefined, 21)],
    ['sport_events_by_start_of_all', eventsAfter(db, undefined, place, 21)],
    ['sport_events_by_start_of_all', eventsAfter(db, undefined, undefined, 21)],
  ] as const) {
    const told = await plan(query.compile())
    t.match(told, new RegExp(`Index Scan using ${index} on sport_events`), told)
    t.notMatch(told, /Sort|Seq Scan/, told)
  }

  const odds = await plan(oddsAfter(db, 50_000n, { market: 'winner', selection: 'away' }, 21).compile())
  t.match(odds, /using odds_pkey on odds/, odds)
  t.match(odds, /using sport_events_pkey on sport_events/)
  t.notMatch(odds, /Seq Scan/)
})
