// Bots that users create, and the lists of bots, of their events and of their trades, over HTTP on a real database.

import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { MAX_BOTS_OF_USER } from '../src/routes/bots/new-bot.ts'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const TRADER = 'acme/trader@acme.example'
const SECOND = 'acme/second-trader@acme.example'
const UNLIMITED = Object.fromEntries(
  ['START', 'STOP', 'RECOVER', 'STATUS', 'GLOBAL', 'BET', 'READ'].map((name) => [
    `RATE_LIMITS_${name}`,
    '1000000/minute',
  ]),
)

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: Readonly<Record<string, unknown>> & {
    readonly items: readonly Readonly<Record<string, unknown>>[]
    readonly next_cursor: string | null
  }
}

async function setUp(t: Test) {
  const url = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, {
    ...UNLIMITED,
    // Those who ask at once wait for each other.
    DB_LOCK_TIMEOUT: '2900ms',
    DATABASE_URL: url,
  })
  const sql = testPool(url)
  t.teardown(() => sql.end())
  const ask = async (
    path: string,
    init: RequestInit = {},
    user: string | undefined = TRADER,
  ): Promise<Answer> => {
    const token = user === '' ? undefined : await bearerOf(url, user)
    const headers = new Headers(init.headers)
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
    const answer = await fetch(service.url + path, { ...init, headers })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, text, body: JSON.parse(text) }
  }
  const create = (body: unknown, key: string | undefined, user?: string) =>
    ask(
      '/api/bots',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      },
      user,
    )
  const count = async () => Number((await sql.query('select count(*) from bots')).rows[0]?.['count'])
  return { service, sql, ask, create, count }
}

const WISH = { name: 'Dip', symbol: 'OAK', strategy: 'price < sma(20) * 0.99 ? buy(1) : hold()' }

t.test('a bot is created, listed and started', async (t) => {
  const { create, ask, service } = await setUp(t)
  const created = await create(WISH, 'first')
  t.equal(created.status, 201)
  t.match(created.body, {
    ...WISH,
    bot_id: /^\d+$/,
    opening_cash_minor: 1_000_000,
    currency: 'EUR',
    created_at: /^\d{4}-.*Z$/,
  })
  t.equal(created.headers.get('cache-control'), 'no-store')
  t.equal(created.headers.get('idempotent-replayed'), null)
  const listed = await ask('/api/bots')
  t.equal(listed.status, 200)
  t.match(listed.body.items.at(-1), {
    ...WISH,
    bot_id: created.body['bot_id'],
    status: 'stopped',
    cash_minor: 1_000_000,
    currency: 'EUR',
    position: 0,
  })
  t.equal(listed.body.items.length, 3)
  t.equal(listed.headers.get('cache-control'), 'private, no-cache')
  t.match(service.stdout, /"event":"bot.create"/)
  const started = await ask('/api/bot/start', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ bot_id: created.body['bot_id'] }),
  })
  t.equal(started.status, 200)
  t.equal((await ask('/api/bots')).body.items.at(-1)?.['status'], 'running')
})

t.test('the same request again is answered with the same bytes, whatever became of the bot', async (t) => {
  const { create, sql, count } = await setUp(t)
  const before = await count()
  const answers = await Promise.all(Array.from({ length: 50 }, () => create(WISH, 'a-key')))
  t.strictSame([...new Set(answers.map(({ status }) => status))], [201])
  t.equal(new Set(answers.map(({ text }) => text)).size, 1)
  t.equal(await count(), before + 1)
  const id = answers[0]?.body['bot_id']
  await sql.query(`update bots set status = 'running', cash_minor = 5, position = 3 where id = $1`, [id])
  const again = await create(WISH, 'a-key')
  t.equal(again.text, answers[0]?.text)
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  const other = await create({ ...WISH, name: 'Another' }, 'a-key')
  t.match(other, { status: 422, body: { error: 'HOLDFAST_ERR_API_IDEMPOTENCY_KEY_REUSED' } })
  t.match(await create(WISH, 'a-key', SECOND), { status: 201 }, 'another user has keys of his own')
  t.equal(await count(), before + 2)
  for (const key of [undefined, '', 'x'.repeat(256), 'a b']) {
    t.match(await create(WISH, key), { status: 400, body: { error: 'HOLDFAST_ERR_API_IDEMPOTENCY_KEY' } })
  }
})

t.test(`a user has ${MAX_BOTS_OF_USER} bots at most, also when he asks for many at once`, async (t) => {
  const { create, sql } = await setUp(t)
  const answers = await Promise.all(
    Array.from({ length: MAX_BOTS_OF_USER + 5 }, (_, at) => create(WISH, `many-${at}`)),
  )
  const created = answers.filter(({ status }) => status === 201)
  t.equal(created.length, MAX_BOTS_OF_USER - 2, 'he had two')
  for (const { status, body } of answers.filter((each) => each.status !== 201)) {
    t.match({ status, error: body['error'] }, { status: 409, error: 'HOLDFAST_ERR_API_BOTS_FULL' })
  }
  const { rows } = await sql.query(
    `select count(*)::int as count from bots join users on users.id = user_id where email = 'trader@acme.example'`,
  )
  t.equal(rows[0]?.['count'], MAX_BOTS_OF_USER)
  const key = answers.findIndex(({ status }) => status === 201)
  t.match(await create(WISH, `many-${key}`), { status: 201 }, 'a repeat is one all the same')
})

t.test('a strategy that is none is refused, and told where it is wrong', async (t) => {
  const { create, count } = await setUp(t)
  const before = await count()
  t.match(await create({ ...WISH, strategy: 'price < sma(20)\n  ? buy(price.x)\n  : hold()' }, 'a'), {
    status: 422,
    body: {
      error: 'HOLDFAST_ERR_API_STRATEGY_INVALID',
      detail: 'this is no strategy: a strategy has no members: neither a dot nor brackets',
      errors: [
        {
          in: 'body',
          pointer: '#/strategy',
          detail: 'a strategy has no members: neither a dot nor brackets',
          line: 2,
          column: 14,
        },
      ],
    },
  })
  t.match(await create({ ...WISH, strategy: '' }, 'b'), { status: 422 })
  t.match(await create({ ...WISH, strategy: 'x'.repeat(1001) }, 'c'), { status: 422 })
  t.match(await create({ ...WISH, strategy: 'x'.repeat(10_000) }, 'd'), { status: 413 })
  t.equal(await count(), before)
})

t.test('what is no bot is refused before anything is asked', async (t) => {
  const { create, count } = await setUp(t)
  const before = await count()
  for (const body of [
    '',
    '{',
    '[]',
    {},
    { ...WISH, name: '' },
    { ...WISH, name: 'x'.repeat(101) },
    { ...WISH, name: 'a\u0000b' },
    { ...WISH, name: ' \u00a0' },
    { ...WISH, name: 'a\ud800b' },
    { ...WISH, name: '\u202eb' },
    { ...WISH, name: 7 },
    { ...WISH, symbol: 'NONE' },
    { ...WISH, symbol: 'toString' },
    { ...WISH, strategy: 7 },
    { ...WISH, strategy: ['hold()'] },
    { ...WISH, cash_minor: 10 ** 12 },
    { ...WISH, user_id: '1' },
  ]) {
    t.match(await create(body, 'a-key'), { status: 400 }, JSON.stringify(body))
  }
  t.match(await create(WISH, 'a-key', ''), { status: 401 })
  t.equal(await count(), before)
  t.match(await create({ ...WISH, name: ' 👩‍👧 Ærø' }, 'a-key'), { status: 201, body: { name: ' 👩‍👧 Ærø' } })
})

t.test('bots, events and trades are listed a page at a time, and each sees his own', async (t) => {
  const { ask, sql } = await setUp(t)
  const { rows } = await sql.query(
    `select bots.id, user_id from bots join users on users.id = user_id where email = 'trader@acme.example' order by 1`,
  )
  const [first, second] = rows.map(({ id }) => String(id))
  const userId = String(rows[0]?.['user_id'])
  await sql.query(
    `insert into bots (user_id, name) select $1, 'Bot ' || n from generate_series(1, 23) as n`,
    [userId],
  )
  await sql.query(
    `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
     select $1, $2, case when n % 2 = 0 then 'started' else 'taken_over' end, 'stopped', 'running', 100 - n, now()
     from generate_series(1, 25) as n`,
    [first, userId],
  )
  await sql.query(
    `insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
     select case when n % 5 = 0 then $2::bigint else $1::bigint end, $3, n, 'buy', 'HFX', n, 100 + n, 1
     from generate_series(1, 25) as n`,
    [first, second, userId],
  )
  const all = async (path: string, id: string) => {
    const found: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const mark: string = cursor === '' ? '' : `&cursor=${cursor}`
      const { status, body } = await ask(`${path}${path.includes('?') ? '&' : '?'}limit=10${mark}`)
      t.equal(status, 200)
      found.push(...body.items.map((item) => String(item[id])))
      cursor = body.next_cursor
    }
    return found
  }
  const bots = await all('/api/bots', 'bot_id')
  t.equal(new Set(bots).size, 25)
  t.strictSame(
    bots,
    bots.toSorted((left, right) => Number(left) - Number(right)),
    'the oldest first',
  )
  const events = await all(`/api/bots/${first}/events`, 'event_id')
  t.equal(events.length, 25)
  t.strictSame(
    events,
    events.toSorted((left, right) => Number(right) - Number(left)),
    'the newest first',
  )
  t.match((await ask(`/api/bots/${first}/events`)).body.items[0], {
    kind: 'taken_over',
    from: 'stopped',
    to: 'running',
    reason: null,
    at: /Z$/,
  })
  const trades = await all('/api/trades', 'trade_id')
  t.equal(trades.length, 25)
  t.strictSame(
    trades,
    trades.toSorted((left, right) => Number(right) - Number(left)),
    'the newest first',
  )
  t.equal((await all(`/api/trades?bot_id=${second}`, 'trade_id')).length, 5)
  t.match((await ask('/api/trades?limit=1')).body.items, [
    {
      trade_id: /^\d+$/,
      bot_id: second,
      tick: '25',
      side: 'buy',
      symbol: 'HFX',
      quantity: 25,
      price_minor: 125,
      currency: 'EUR',
      at: /Z$/,
    },
  ])

  const asSecond = (path: string) => ask(path, {}, SECOND)
  t.match(await asSecond(`/api/bots/${first}/events`), {
    status: 404,
    body: { error: 'HOLDFAST_ERR_API_BOT_UNKNOWN' },
  })
  t.match(await asSecond('/api/bots/9223372036854775808/events'), { status: 404 })
  t.strictSame((await asSecond(`/api/trades?bot_id=${first}`)).body.items, [])
  t.strictSame((await asSecond('/api/trades')).body, { items: [], next_cursor: null })
  t.strictSame((await ask('/api/trades?bot_id=9999999999999999999')).body.items, [])
  t.strictSame((await ask(`/api/bots/${second}/events`)).body, { items: [], next_cursor: null })
  for (const path of [
    '/api/bots?limit=0',
    '/api/bots?cursor=x',
    '/api/bots/x/events',
    '/api/bots/0/events',
    '/api/trades?bot_id=x',
    '/api/trades?cursor=0',
    '/api/trades?limit=101',
    '/api/trades?side=buy',
  ]) {
    t.match(await ask(path), { status: 400 }, path)
  }
  for (const path of ['/api/bots', `/api/bots/${first}/events`, '/api/trades']) {
    t.match(await ask(path, {}, ''), { status: 401 }, path)
  }
})

t.test('what was read before stands in when the database has no room', async (t) => {
  const { ask, service, sql } = await setUp(t)
  const { rows } = await sql.query(
    `select bots.id from bots join users on users.id = user_id where email = 'trader@acme.example'`,
  )
  const paths = ['/api/bots', `/api/bots/${rows[0]?.['id']}/events`, '/api/trades']
  const fresh: string[] = []
  for (const path of paths) fresh.push((await ask(path)).text)
  const { poolGuard } = service.app.fastify
  const clients = await Promise.all(Array.from({ length: 27 }, () => poolGuard.acquire()))
  for (const [at, path] of paths.entries()) {
    const stale = await ask(path)
    t.equal(stale.status, 200, path)
    t.equal(stale.text, fresh[at])
    t.match(stale.headers.get('warning'), /^110 /)
    t.match(await ask(`${path}?limit=7`), { status: 503, body: { retry_after: Number } })
  }
  for (const client of clients) client.release()
  await waitUntil(async () => (await ask('/api/trades?limit=7')).status === 200)
})
