// The routes of bets and balances on a real database: what can be bet, by whom, how often, and what is told of it.

import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { BetClient } from './bet-client.ts'
import { endEvent, moneyAstray, newEvent, setOdds } from './betting.ts'
import { demoDatabase, testGuard } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(180_000)

const TRADER = 'acme/trader@acme.example'
const UNLIMITED = { RATE_LIMITS_BET: '1000000/minute', RATE_LIMITS_READ: '1000000/minute' }
const TOKEN = 'a-token-of-this-test'

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const databaseUrl = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, {
    ...UNLIMITED,
    DATABASE_URL: databaseUrl,
    LOG_LEVEL: 'info',
    ...environment,
  })
  const sql = testGuard(t, databaseUrl)
  const as = (user?: string, { url } = service) => new BetClient({ url, databaseUrl }, user)
  const settle = (eventId: string) =>
    new Settlement(sql, { tell: async () => {} }).settleNext({ eventId, limit: 100 })
  const eventId = await newEvent(sql)
  return { service, databaseUrl, sql, as, settle, eventId }
}

const bet = (event_id: string, more: object = {}) => ({
  event_id,
  market: 'winner',
  selection: 'home',
  stake_minor: 1000,
  ...more,
})

t.test('a bet is placed, listed and settled, and the balance follows', async (t) => {
  const { as, sql, settle, eventId, service } = await setUp(t)
  const trader = as(TRADER)
  t.match(await trader.get('/api/balance'), {
    status: 200,
    body: { balance_minor: 100_000, currency: 'EUR', changed_at: /^\d{4}-.*Z$/ },
  })
  const placed = await trader.place(bet(eventId, { odds_milli: 1850 }))
  t.equal(placed.status, 201)
  t.equal(placed.headers.get('cache-control'), 'no-store')
  t.equal(placed.headers.get('idempotent-replayed'), null)
  const { placed_at, bet_id, ...terms } = placed.body
  t.strictSame(terms, {
    event_id: eventId,
    market: 'winner',
    selection: 'home',
    stake_minor: 1000,
    odds_milli: 1850,
    payout_if_won_minor: 1850,
    currency: 'EUR',
    balance_minor: 99_000,
  })
  const { balance_minor: _, ...listed } = placed.body
  const open = { ...listed, status: 'open', payout_minor: null, settled_at: null }
  t.strictSame((await trader.get('/api/bets')).body, { items: [open], next_cursor: null })
  t.strictSame((await trader.get('/api/bets?status=won')).body, { items: [], next_cursor: null })

  await endEvent(sql, eventId, { winner: 'home' })
  await settle(eventId)
  const settled = (await trader.get('/api/bets?status=won')).body.items?.[0]
  t.match(settled, { ...listed, status: 'won', payout_minor: 1850, settled_at: /Z$/, placed_at })
  t.match((await trader.get('/api/balance')).body, { balance_minor: 100_850 })
  const entries = await trader.get('/api/balance/entries')
  t.match(entries.body.items, [
    {
      kind: 'payout',
      amount_minor: 1850,
      balance_after_minor: 100_850,
      bet_id,
      currency: 'EUR',
      entry_id: /^\d+$/,
    },
    { kind: 'stake', amount_minor: -1000, balance_after_minor: 99_000, bet_id },
    { kind: 'opening', amount_minor: 100_000, balance_after_minor: 100_000, bet_id: null },
  ])
  t.equal(entries.headers.get('cache-control'), 'private, no-cache')
  const told = service.stdout.split('\n').filter((line) => line.includes('"bet.placed"'))
  t.equal(told.length, 1)
  t.match(JSON.parse(told[0] ?? '{}'), {
    event_type: 'USER_ACTION',
    bet_id,
    event_id: eventId,
    user_id: /^\d+$/,
  })
})

t.test('lists are read a page at a time, the newest first, and show nobody else’s', async (t) => {
  const { as, eventId } = await setUp(t)
  const trader = as(TRADER)
  await as('acme/second-trader@acme.example').place(bet(eventId))
  const placed: unknown[] = []
  for (let count = 0; count < 7; count += 1) placed.unshift((await trader.place(bet(eventId))).body['bet_id'])
  for (const [path, id, count] of [
    ['/api/bets', 'bet_id', 7],
    ['/api/bets?status=open', 'bet_id', 7],
    ['/api/balance/entries', 'entry_id', 8],
  ] as const) {
    const seen: unknown[] = []
    let cursor = ''
    for (let pages = 1; ; pages += 1) {
      const { body } = await trader.get(`${path}${path.includes('?') ? '&' : '?'}limit=3${cursor}`)
      seen.push(...(body.items ?? []).map((item) => item[id]))
      if (body['next_cursor'] === null) break
      cursor = `&cursor=${String(body['next_cursor'])}`
      t.ok(pages < 4)
    }
    t.equal(seen.length, count, path)
    if (id === 'bet_id') t.strictSame(seen, placed)
  }
})

t.test('50 equal requests at once are one bet, 50 equal answers, and not 50 connections', async (t) => {
  const { as, sql, eventId, service } = await setUp(t)
  const trader = as(TRADER)
  const { poolGuard } = service.app.fastify
  await trader.get('/api/balance')
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, poolGuard.showPools()[0]?.cl_active ?? 0)
  }, 1)
  const answers = await Promise.all(Array.from({ length: 50 }, () => trader.place(bet(eventId), 'fifty')))
  clearInterval(watch)
  t.strictSame(new Set(answers.map(({ status }) => status)), new Set([201]))
  t.equal(new Set(answers.map(({ text }) => text)).size, 1)
  const replayed = answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true')
  t.equal(replayed.length, 49)
  t.equal((await sql.query('select from bets')).rowCount, 1)
  t.ok(most <= 10, `${most} connections in use at most`)
  t.strictSame(await moneyAstray(sql), [])
})

t.test('so are they when they come to two processes', async (t) => {
  const { as, sql, eventId, databaseUrl } = await setUp(t)
  const second = await ServiceApp.start(t, { ...UNLIMITED, DATABASE_URL: databaseUrl })
  const clients = [as(TRADER), as(TRADER, second)]
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) => clients[at % 2]?.place(bet(eventId), 'fifty')),
  )
  t.strictSame(new Set(answers.map((answer) => answer?.status)), new Set([201]))
  t.equal(new Set(answers.map((answer) => answer?.text)).size, 1)
  t.equal((await sql.query('select from bets')).rowCount, 1)
  t.strictSame(await moneyAstray(sql), [])
})

t.test('a repeat is answered with the same bytes after the event, and another body is refused', async (t) => {
  const { as, sql, settle, eventId } = await setUp(t)
  const trader = as(TRADER)
  const first = await trader.place(bet(eventId), 'mine')
  await setOdds(sql, eventId, 'winner', 'home', 1100)
  await endEvent(sql, eventId, { winner: 'away' })
  await settle(eventId)
  const again = await trader.place(bet(eventId), 'mine')
  t.equal(again.status, 201)
  t.equal(again.text, first.text)
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  for (const other of [
    { stake_minor: 1001 },
    { selection: 'away' },
    { market: 'goals' },
    { event_id: '999' },
    { odds_milli: 1850 },
  ]) {
    t.match(await trader.place(bet(eventId, other), 'mine'), {
      status: 422,
      body: { error: 'HOLDFAST_ERR_API_IDEMPOTENCY_KEY_REUSED' },
    })
  }
  const reordered = { stake_minor: 1000, selection: 'home', market: 'winner', event_id: eventId }
  t.equal(
    (await trader.place(reordered, 'mine')).text,
    first.text,
    'the order of members is no other request',
  )
  t.equal((await sql.query('select from bets')).rowCount, 1)
})

t.test('what cannot be bet says why', async (t) => {
  const { as, sql, eventId } = await setUp(t)
  const trader = as(TRADER)
  const refused = async (body: object, status: number, code: string) => {
    const answer = await trader.place(body)
    t.match(answer, { status, body: { error: `HOLDFAST_ERR_API_${code}` } }, `${code} ${answer.text}`)
    return answer
  }
  const worse = await refused(bet(eventId, { odds_milli: 1851 }), 409, 'ODDS_WORSE')
  t.match(
    worse.body,
    { errors: [{ in: 'body', pointer: '#/odds_milli', detail: '1850' }] },
    'with the present odds',
  )
  await refused(bet(eventId, { stake_minor: 100_001 }), 409, 'BALANCE_TOO_LOW')
  await refused(bet('999999'), 404, 'EVENT_UNKNOWN')
  await refused(bet('9999999999999999999'), 404, 'EVENT_UNKNOWN')
  await refused(bet(eventId, { market: 'corners' }), 404, 'SELECTION_UNKNOWN')
  await refused(bet(await newEvent(sql, { startsInSeconds: -1 })), 409, 'EVENT_CLOSED')
  await endEvent(sql, eventId, undefined)
  await refused(bet(eventId), 409, 'EVENT_CLOSED')
  t.equal((await sql.query('select from bets')).rowCount, 0)
  t.match((await trader.get('/api/balance')).body, { balance_minor: 100_000 })
})

t.test('what is no bet is refused before anything is asked', async (t) => {
  const { as, sql, eventId } = await setUp(t)
  const trader = as(TRADER)
  for (const body of [
    undefined,
    [],
    {},
    bet(eventId, { event_id: 1 }),
    bet(eventId, { event_id: '0' }),
    bet(eventId, { event_id: "1';--" }),
    bet(eventId, { market: '' }),
    bet(eventId, { market: 'Winner' }),
    bet(eventId, { selection: ['home'] }),
    bet(eventId, { selection: 'x'.repeat(41) }),
    bet(eventId, { stake_minor: 0 }),
    bet(eventId, { stake_minor: -5 }),
    bet(eventId, { stake_minor: 1.5 }),
    bet(eventId, { stake_minor: '1000' }),
    bet(eventId, { stake_minor: null }),
    bet(eventId, { stake_minor: 1_000_000_001 }),
    bet(eventId, { odds_milli: 1000 }),
    bet(eventId, { odds_milli: null }),
    bet(eventId, { odds_milli: '1850' }),
    bet(eventId, { user_id: '2' }),
  ]) {
    t.match(await trader.place(body), { status: 400 }, JSON.stringify(body))
  }
  for (const key of [null, 'a b', 'x'.repeat(256)]) {
    t.match(await trader.place(bet(eventId), key), {
      status: 400,
      body: { error: 'HOLDFAST_ERR_API_IDEMPOTENCY_KEY' },
    })
  }
  t.match(await trader.place(bet(eventId, { pad: 'x'.repeat(2000) })), { status: 413 })
  for (const query of ['?status=maybe', '?limit=0', '?limit=101', '?cursor=x', '?cursor=0', '?user_id=2']) {
    t.match(await trader.get(`/api/bets${query}`), { status: 400 }, query)
    t.match(await trader.get(`/api/balance/entries${query}`), { status: 400 }, query)
  }
  for (const client of [as(), as('acme/nobody@acme.example')]) {
    t.match(await client.place(bet(eventId)), { status: 401 })
    for (const path of ['/api/bets', '/api/balance', '/api/balance/entries']) {
      t.match(await client.get(path), { status: 401 })
    }
  }
  t.equal((await sql.query('select from bets')).rowCount, 0)
})

t.test('who bets too often is told when to come back', async (t) => {
  const { as, eventId } = await setUp(t, { RATE_LIMITS_BET: '2/minute', RATE_LIMITS_READ: '3/minute' })
  const trader = as(TRADER)
  t.equal((await trader.place(bet(eventId))).status, 201)
  t.equal((await trader.place(bet(eventId))).status, 201)
  const limited = await trader.place(bet(eventId))
  t.match(limited, { status: 429, body: { retry_after: Number } })
  t.equal((await as('acme/second-trader@acme.example').place(bet(eventId))).status, 201, 'others may')
  for (const path of ['/api/bets', '/api/balance', '/api/balance/entries']) {
    t.equal((await trader.get(path)).status, 200)
  }
  t.equal((await trader.get('/api/bets')).status, 429)
})

t.test('what was read before stands in when the database has no room', async (t) => {
  const { as, eventId, service } = await setUp(t)
  const trader = as(TRADER)
  await trader.place(bet(eventId))
  const paths = ['/api/bets', '/api/bets?status=open', '/api/balance', '/api/balance/entries']
  const fresh = await Promise.all(paths.map((path) => trader.get(path)))
  const { poolGuard } = service.app.fastify
  const clients = await Promise.all(Array.from({ length: 27 }, () => poolGuard.acquire()))
  for (const [at, path] of paths.entries()) {
    const stale = await trader.get(path)
    t.equal(stale.status, 200, path)
    t.equal(stale.text, fresh[at]?.text)
    t.match(stale.headers.get('warning'), /^110 /)
    t.match(stale.headers.get('age'), /^\d+$/)
  }
  t.match(await trader.get('/api/bets?status=won'), { status: 503, body: { retry_after: Number } })
  t.match(await trader.get('/api/balance/entries?limit=7'), { status: 503, body: { retry_after: Number } })
  t.equal((await trader.place(bet(eventId))).status, 201, 'a bet has the reserve')
  for (const client of clients) client.release()
  await waitUntil(async () => (await trader.get('/api/bets?status=won')).status === 200)
})

t.test('while nothing may be changed no bet is placed, and everything can be looked at', async (t) => {
  const { as, eventId, service } = await setUp(t)
  const trader = as(TRADER)
  await service.app.fastify.maintenance.set({ mode: 'read-only', message: 'a copy is made' })
  t.match(await trader.place(bet(eventId)), { status: 503 })
  t.equal((await trader.get('/api/balance')).status, 200)
  await service.app.fastify.maintenance.clear()
  t.equal((await trader.place(bet(eventId))).status, 201)
})

t.test('bets are counted by what became of them, and open stakes by their currency', async (t) => {
  const { as, eventId, service } = await setUp(t, { ENABLE_METRICS: 'true', METRICS_TOKEN: TOKEN })
  const trader = as(TRADER)
  const metrics = async () =>
    (await fetch(`${service.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })).text()
  await trader.place(bet(eventId), 'once')
  await trader.place(bet(eventId), 'once')
  await trader.place(bet(eventId, { stake_minor: 500 }))
  await trader.place(bet('999999'))
  const text = await metrics()
  for (const [outcome, count] of [
    ['accepted', 2],
    ['replayed', 1],
    ['refused', 1],
    ['limited', 0],
    ['failed', 0],
  ]) {
    t.match(text, new RegExp(`^bets_placed_total\\{outcome="${outcome}"\\} ${count}$`, 'm'))
  }
  await waitUntil(async () => /^stakes_open_minor\{currency="EUR"\} 1500$/m.test(await metrics()), {
    timeoutMs: 60_000,
  })
})
