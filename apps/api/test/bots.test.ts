// The bot routes on a real database, without Redis: what can be done with a bot, by whom, and what is written of it.

import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { bearerOf } from './bearer-of.ts'
import { BotClient } from './bot-client.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { holdBot } from './held-bot.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const TRADER = 'acme/trader@acme.example'
const UNLIMITED = Object.fromEntries(
  ['START', 'STOP', 'RECOVER', 'STATUS', 'GLOBAL'].map((name) => [`RATE_LIMITS_${name}`, '1000000/minute']),
)

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const url = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, { ...UNLIMITED, DATABASE_URL: url, ...environment })
  const sql = testPool(url)
  t.teardown(() => sql.end())
  const as = (user?: string, headers?: Record<string, string>) =>
    new BotClient({ url: service.url, databaseUrl: url }, user, headers)
  const events = async () =>
    (await sql.query('select bot_id, user_id, kind, from_status, to_status from bot_events order by id')).rows
  const botOf = async (email: string, at = 0) => {
    const { rows } = await sql.query(
      'select bots.id from bots join users on users.id = user_id where email = $1 order by bots.id',
      [email],
    )
    return String(rows[at]?.['id'])
  }
  return { service, sql, as, events, botOf, url }
}

t.test('a bot is started, recovered and stopped, and each step is an event', async (t) => {
  const { as, sql, events, botOf } = await setUp(t)
  const trader = as(TRADER)
  const bot = await botOf('trader@acme.example')
  const listed = await trader.status()
  t.equal(listed.status, 200)
  t.match(listed.body, { items: [{ bot_id: bot, name: 'Steady', status: 'stopped' }, {}], next_cursor: null })

  const started = await trader.start(bot)
  t.match(started, {
    status: 200,
    body: {
      success: true,
      bot_id: bot,
      name: 'Steady',
      status: 'running',
      event_id: /^\d+$/,
      changed_at: /^\d{4}-.*Z$/,
    },
  })
  t.equal(started.headers.get('cache-control'), 'no-store')
  const seen = await trader.status(`?bot_id=${bot}`)
  const { success: _, event_id: __, ...shown } = started.body
  t.strictSame(seen.body, shown)
  t.equal(seen.headers.get('cache-control'), 'private, no-cache')

  t.match(await trader.recover(bot), { status: 200, body: { status: 'running' } })
  await sql.query(`update bots set status = 'failed' where id = $1`, [bot])
  t.match(await trader.recover(bot), { status: 200, body: { status: 'running' } })
  t.match(await trader.stop(bot), { status: 200, body: { status: 'stopped' } })
  t.match(await events(), [
    { bot_id: bot, kind: 'started', from_status: 'stopped', to_status: 'running' },
    { kind: 'recovered', from_status: 'running', to_status: 'running' },
    { kind: 'recovered', from_status: 'failed', to_status: 'running' },
    { kind: 'stopped', from_status: 'running', to_status: 'stopped' },
  ])
})

t.test('what cannot be done with a bot as it is changes nothing, and says what can', async (t) => {
  const { as, sql, events, botOf } = await setUp(t)
  const trader = as(TRADER)
  const bot = await botOf('trader@acme.example')
  const refused = (detail: string) => ({
    status: 409,
    body: { error: 'HOLDFAST_ERR_API_BOT_STATE', detail },
  })
  t.match(
    await trader.stop(bot),
    refused('the bot is stopped, so that all that can be done with it is: start'),
  )
  t.match(await trader.recover(bot), { status: 409 })
  const { rows } = await sql.query('select fence_of_last_operation as fence from users order by id')
  t.ok(
    rows.every(({ fence }) => fence === '0'),
    'not even the fence',
  )
  await trader.start(bot)
  t.match(
    await trader.start(bot),
    refused('the bot is running, so that all that can be done with it is: stop or recover'),
  )
  t.equal((await events()).length, 1)
})

t.test('the bots of others are not there, nor are those that there are not', async (t) => {
  const { as, events, botOf } = await setUp(t)
  const trader = as(TRADER)
  const unknown = { status: 404, body: { error: 'HOLDFAST_ERR_API_BOT_UNKNOWN' } }
  for (const bot of [
    await botOf('second-trader@acme.example'),
    await botOf('trader@globex.example'),
    '999999',
    '9223372036854775807',
    '9999999999999999999',
  ]) {
    t.match(await trader.start(bot), unknown)
    t.match(await trader.stop(bot), unknown)
    t.match(await trader.status(`?bot_id=${bot}`), unknown)
  }
  t.strictSame(await events(), [])
})

t.test('what is no bot is refused before anything is asked', async (t) => {
  const { as, events } = await setUp(t)
  const trader = as(TRADER)
  for (const body of [
    '',
    '{',
    '[]',
    'null',
    {},
    { bot_id: 1 },
    { bot_id: ['1'] },
    { bot_id: null },
    { bot_id: '' },
    { bot_id: '0' },
    { bot_id: '-1' },
    { bot_id: '1e3' },
    { bot_id: "1';--" },
    { bot_id: '1', extra: true },
  ]) {
    t.match(await trader.post('start', body), { status: 400 }, JSON.stringify(body))
  }
  t.match(await trader.post('start', { bot_id: '1', pad: 'x'.repeat(2000) }), { status: 413 })
  for (const query of ['?bot_id=x', '?bot_id=0', '?limit=0', '?limit=101', '?cursor=x', '?cursor=0']) {
    t.match(await trader.status(query), { status: 400 }, query)
  }
  t.strictSame(await events(), [])
})

t.test('bots are listed a page at a time', async (t) => {
  const { as, sql } = await setUp(t)
  await sql.query(`insert into bots (user_id, name)
    select users.id, 'Bot ' || n from users, generate_series(1, 45) as n where email = 'trader@acme.example'`)
  const trader = as(TRADER)
  const ids: unknown[] = []
  let query = '?limit=20'
  for (let pages = 1; pages <= 3; pages += 1) {
    const { body } = await trader.status(query)
    ids.push(...(body.items ?? []).map((item) => item['bot_id']))
    t.equal(body['next_cursor'] === null, pages === 3)
    query = `?limit=20&cursor=${String(body['next_cursor'])}`
  }
  t.equal(ids.length, 47)
  t.equal(new Set(ids).size, 47)
})

t.test('who is not known, or suspended, is told to sign in', async (t) => {
  const { as, sql, botOf } = await setUp(t)
  const bot = await botOf('trader@acme.example')
  const suspended = as('acme/second-trader@acme.example')
  const ofSuspended = as('globex/trader@globex.example')
  await sql.query(`update users set status = 'suspended' where email = 'second-trader@acme.example'`)
  await sql.query(`update tenants set status = 'suspended' where slug = 'globex'`)
  for (const client of [
    as(),
    suspended,
    ofSuspended,
    ...['', 'Bearer', 'Bearer ', 'Bearer x', 'Bearer x.y.z', 'Basic dTpw', `Bearer ${'x'.repeat(5000)}`].map(
      (authorization) => as(undefined, { authorization }),
    ),
  ]) {
    const answer = await client.start(bot)
    t.match(answer, { status: 401, body: { error: 'HOLDFAST_ERR_API_NOT_SIGNED_IN' } })
    t.equal(answer.headers.get('www-authenticate'), 'Bearer realm="api"')
    t.match(await client.status(), { status: 401 })
  }
})

t.test('of one user one operation goes on at a time, and nobody else waits for him', async (t) => {
  const { as, sql, events, botOf } = await setUp(t, { DB_LOCK_TIMEOUT: '2500ms' })
  const bot = await botOf('trader@acme.example')
  const held = await holdBot(sql, bot)
  const first = as(TRADER).start(bot)
  await held.waitedFor((waiting) => waiting === 1)
  const second = await botOf('trader@acme.example', 1)
  const refused = await Promise.all([
    as(TRADER).start(bot),
    as(TRADER).stop(bot),
    as(TRADER).recover(bot),
    as(TRADER).start(second),
  ])
  for (const { status, headers, body } of refused) {
    t.equal(status, 429)
    t.strictSame(body, {
      success: false,
      message: 'Bot operation already in progress for this user. Please wait.',
      retry_after: 30,
    })
    t.equal(headers.get('retry-after'), '30')
  }
  t.match(await as(TRADER).status(), { status: 200 }, 'looking is no operation')
  const other = await botOf('second-trader@acme.example')
  t.match(await as('acme/second-trader@acme.example').start(other), { status: 200 })
  await held.letGo()
  t.match(await first, { status: 200, body: { status: 'running' } })
  t.match(await as(TRADER).start(second), { status: 200 }, 'the next one may')
  t.equal((await events()).length, 3)
})

t.test('whoever cannot have the bot in time is refused, and the next one is not', async (t) => {
  const { as, sql, events, botOf } = await setUp(t, { DB_LOCK_TIMEOUT: '100ms' })
  const bot = await botOf('trader@acme.example')
  const held = await holdBot(sql, bot)
  const answer = await as(TRADER).start(bot)
  t.equal(answer.status, 503)
  t.match(answer.headers.get('retry-after'), /^\d+$/)
  await held.letGo()
  t.match(await as(TRADER).start(bot), { status: 200 })
  t.equal((await events()).length, 1)
})

t.test('the change and its event are both written, or neither', async (t) => {
  const { as, sql, events, botOf, service } = await setUp(t)
  const bot = await botOf('trader@acme.example')
  await sql.query(`alter table bot_events add constraint none_today check (kind <> 'started')`)
  t.equal((await as(TRADER).start(bot)).status, 500)
  t.match(service.stdout, /none_today/)
  const stored =
    'select bots.status, fence_of_last_operation as fence from bots join users on users.id = user_id'
  t.match((await sql.query(`${stored} where bots.id = $1`, [bot])).rows, [{ status: 'stopped', fence: '0' }])
  t.strictSame(await events(), [])
})

t.test('events are never changed, and go only with whose they are', async (t) => {
  const { as, sql, events, botOf } = await setUp(t)
  const bot = await botOf('trader@acme.example')
  await as(TRADER).start(bot)
  for (const statement of [
    `update bot_events set kind = 'stopped'`,
    'delete from bot_events',
    'truncate bot_events',
  ]) {
    await t.rejects(sql.query(statement), { code: '23001' }, statement)
  }
  await sql.query(`delete from users where email = 'trader@acme.example'`)
  t.strictSame(await events(), [])
})

t.test('a status that was read before stands in when the database has no room', async (t) => {
  const { as, service } = await setUp(t)
  const { poolGuard } = service.app.fastify
  const fresh = await as(TRADER).status()
  const clients = await Promise.all(Array.from({ length: 27 }, () => poolGuard.acquire()))
  const stale = await as(TRADER).status()
  t.equal(stale.status, 200)
  t.strictSame(stale.body, fresh.body)
  t.match(stale.headers.get('warning'), /^110 /)
  t.match(stale.headers.get('age'), /^\d+$/)
  t.match(stale.headers.get('cache-status'), /stale/)
  const never = await as(TRADER).status('?limit=7')
  t.match(never, { status: 503, body: { retry_after: Number } })
  for (const client of clients) client.release()
  await waitUntil(async () => (await as(TRADER).status('?limit=7')).status === 200)
})

t.test('an operation whose client leaves is ended, changes nothing, and is counted', async (t) => {
  const { as, sql, events, botOf, service, metrics, url } = await setUpWithMetrics(t)
  const bot = await botOf('trader@acme.example')
  const held = await holdBot(sql, bot)
  const leaving = new AbortController()
  const left = fetch(`${service.url}/api/bot/start`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await bearerOf(url, TRADER)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ bot_id: bot }),
    signal: leaving.signal,
  })
  await held.waitedFor((waiting) => waiting === 1)
  leaving.abort()
  await t.rejects(left)
  await held.waitedFor((waiting) => waiting === 0)
  await waitUntil(async () => /^bot_starts_total\{status="aborted"\} 1$/m.test(await metrics()))
  await held.letGo()
  t.strictSame(await events(), [])
  t.match(await as(TRADER).start(bot), { status: 200 }, 'the next one may')
})

async function setUpWithMetrics(t: Test) {
  const METRICS_TOKEN = 'a-token-of-this-test'
  const made = await setUp(t, { ENABLE_METRICS: 'true', METRICS_TOKEN })
  const metrics = async () => {
    const headers = { authorization: `Bearer ${METRICS_TOKEN}` }
    return (await fetch(`${made.service.url}/metrics`, { headers })).text()
  }
  return { ...made, metrics }
}

t.test('operations and running bots are counted', async (t) => {
  const { as, botOf, metrics } = await setUpWithMetrics(t)
  t.match(await metrics(), /^bot_starts_total\{status="success"\} 0$/m)
  t.match(await metrics(), /^active_bots 0$/m)
  const bot = await botOf('trader@acme.example')
  await as(TRADER).start(bot)
  await as(TRADER).start(bot)
  await as().stop(bot)
  const text = await metrics()
  t.match(text, /^bot_starts_total\{status="success"\} 1$/m)
  t.match(text, /^bot_starts_total\{status="refused"\} 1$/m)
  t.match(text, /^bot_stops_total\{status="refused"\} 1$/m)
  t.match(text, /^bot_recovers_total\{status="success"\} 0$/m)
  await waitUntil(async () => /^active_bots 1$/m.test(await metrics()), { timeoutMs: 20_000 })
})
