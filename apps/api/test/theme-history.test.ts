import { randomUUID } from 'node:crypto'
import { startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Pool } from 'undici'
import { migrateDown, migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { demoDatabase, freshDatabase, testGuard, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(300_000)

interface Answer {
  readonly status: number
  readonly type: string
  /** Of a page; of anything else only what is compared as a whole. */
  readonly body: {
    readonly items: readonly { readonly version: string; readonly theme: { readonly brand_name: string } }[]
    readonly next_cursor: string | null
  }
}

async function setUp(t: Test) {
  const url = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, { DATABASE_URL: url })
  const sql = testPool(url, 1)
  t.teardown(() => sql.end())
  const client = new Pool(service.url, { connections: 8 })
  t.teardown(() => client.destroy())
  const ask = async (method: 'GET' | 'POST', path: string, sent?: string, type = 'application/json') => {
    const { statusCode, headers, body } = await client.request({
      path,
      method,
      ...(sent !== undefined && { headers: { 'content-type': type }, body: sent }),
    })
    const answer: Answer = {
      status: statusCode,
      type: String(headers['content-type']),
      body: (await body.json()) as Answer['body'],
    }
    return answer
  }
  const history = (query = '', tenant = 'acme') => ask('GET', `/${tenant}/api/theme/history${query}`)
  const post = (event: unknown, tenant = 'acme') =>
    ask(
      'POST',
      `/${tenant}/api/theme/preview-events`,
      typeof event === 'string' ? event : JSON.stringify(event),
    )
  const stored = async () => (await sql.query('select * from theme_preview_events order by id')).rows
  return { sql, ask, history, post, stored, url }
}

/** Gives the theme of acme a number of further versions, named by their order. */
async function change(sql: ReturnType<typeof testPool>, times: number) {
  for (let turn = 1; turn <= times; turn += 1) {
    await sql.query(
      `update themes set theme = jsonb_build_object('brand_name', $1::text) where slug = 'acme'`,
      [`Brand ${turn}`],
    )
  }
}

t.test('every version of a theme is in its history, the newest first, a page at a time', async (t) => {
  const { sql, history } = await setUp(t)
  await change(sql, 45)
  const first = await history()
  t.equal(first.status, 200)
  t.equal(first.body.items.length, 20, 'twenty by default')
  t.match(first.body.items[0], {
    version: /^\d+$/,
    saved_at: /^\d{4}-.*Z$/,
    theme: { brand_name: 'Brand 45' },
  })
  const names: string[] = []
  let query = '?limit=10'
  for (let pages = 1; pages <= 5; pages += 1) {
    const { body } = await history(query)
    names.push(...body.items.map(({ theme }) => theme.brand_name))
    t.equal(body.next_cursor === null, pages === 5)
    query = `?limit=10&cursor=${body.next_cursor}`
    // What is new does not move what comes after the cursor.
    if (pages === 2) await change(sql, 1)
  }
  const expected = Array.from({ length: 45 }, (_, index) => `Brand ${45 - index}`)
  t.strictSame(names, [...expected, 'Acme Markets'])
  t.equal((await history('?limit=100')).body.items.length, 47)
  t.equal((await history('?limit=47')).body.next_cursor, null, 'a full last page is the last one')
  t.strictSame((await history('?cursor=1')).body, { items: [], next_cursor: null })
})

t.test('a version that cannot be served is listed without its theme, and so is a huge one', async (t) => {
  const { sql, history } = await setUp(t)
  await sql.query(`update themes set theme = '{"primary_color": "red"}' where slug = 'acme'`)
  await sql.query(
    `update themes set theme = jsonb_build_object('tagline', repeat('x', 70000)) where slug = 'acme'`,
  )
  const { items } = (await history()).body
  t.match(items, [{ theme: null }, { theme: null }, { theme: { brand_name: 'Acme Markets' } }])
})

t.test('unknown and suspended tenants have no history, and take no events', async (t) => {
  const { sql, history, post, stored } = await setUp(t)
  const version = (await history()).body.items[0]?.version
  await sql.query(`update tenants set status = 'suspended' where slug = 'globex'`)
  await sql.query(`insert into tenants (slug, name) values ('bare', 'Bare')`)
  for (const tenant of ['nobody', 'globex', '..%2f', '%00', 'A', 'x'.repeat(5000)]) {
    const answers = [
      await history('', tenant),
      await post({ event_id: randomUUID(), theme_version: version, viewport: 'mobile' }, tenant),
    ]
    for (const answer of answers) {
      t.match(answer, {
        status: 404,
        type: /^application\/problem\+json/,
        body: { status: 404, error: 'HOLDFAST_ERR_API_TENANT_UNKNOWN' },
      })
    }
  }
  t.strictSame((await history('', 'bare')).body, { items: [], next_cursor: null })
  t.strictSame(await stored(), [])
})

t.test('a page that cannot be meant is refused', async (t) => {
  const { history } = await setUp(t)
  for (const query of [
    '?limit=0',
    '?limit=101',
    '?limit=-1',
    '?limit=1.5',
    '?limit=x',
    '?limit=',
    '?limit=1&limit=2',
    '?cursor=abc',
    '?cursor=',
    '?cursor=0',
    '?cursor=-1',
    '?cursor=9223372036854775808',
    `?cursor=${'1'.repeat(500)}`,
    "?cursor=1';--",
  ]) {
    t.match(await history(query), { status: 400, type: /^application\/problem\+json/ }, query)
  }
})

t.test('an event is stored once, however often and however concurrently it is sent', async (t) => {
  const { history, post, stored } = await setUp(t)
  const version = (await history()).body.items[0]?.version
  const event = { event_id: randomUUID(), theme_version: version, viewport: 'desktop' }
  const first = await post(event)
  t.match(first, {
    status: 201,
    body: { ...event, id: /^\d+$/, received_at: /^\d{4}-.*Z$/ },
  })
  t.strictSame(await post(event), first, 'a retry gets the same answer')
  t.strictSame(await post({ ...event, event_id: event.event_id.toUpperCase() }), first, 'ids have one case')
  const contended = { ...event, event_id: randomUUID() }
  const answers = await Promise.all(Array.from({ length: 40 }, () => post(contended)))
  t.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1)
  t.equal(answers[0]?.status, 201)
  t.equal((await stored()).length, 2)
  const elsewhere = await history('', 'globex')
  const other = { ...event, theme_version: elsewhere.body.items[0]?.version }
  t.equal((await post(other, 'globex')).status, 201, 'another tenant has ids of its own')

  const different = await post({ ...event, viewport: 'mobile' })
  t.match(different, { status: 409, body: { error: 'HOLDFAST_ERR_API_EVENT_ID_REUSED' } })
  t.match((await stored())[0], { event_id: event.event_id, viewport: 'desktop' })
})

t.test('an event that cannot be right is refused, and nothing is stored', async (t) => {
  const { history, post, stored, ask } = await setUp(t)
  const version = (await history()).body.items[0]?.version
  const good = { event_id: randomUUID(), theme_version: version, viewport: 'mobile' }
  const problem = /^application\/problem\+json/
  const wrong: [unknown, number][] = [
    ['', 400],
    ['{', 400],
    ['[]', 400],
    ['null', 400],
    ['"text"', 400],
    [{ ...good, event_id: 'not-a-uuid' }, 400],
    [{ ...good, event_id: undefined }, 400],
    [{ ...good, theme_version: '0' }, 400],
    [{ ...good, theme_version: '1e3' }, 400],
    // As a number it would be rounded beyond 2^53, and another version stored.
    [{ ...good, theme_version: Number(version) }, 400],
    [{ ...good, viewport: ['mobile'] }, 400],
    [{ ...good, theme_version: '9999999999999999999' }, 422],
    [{ ...good, theme_version: '999999' }, 422],
    [{ ...good, viewport: 'watch' }, 400],
    [{ ...good, viewport: null }, 400],
    [{ ...good, extra: 1 }, 400],
    ['{"__proto__": {"viewport": "mobile"}}', 400],
    [{ ...good, viewport: 'x'.repeat(2000) }, 413],
  ]
  for (const [event, status] of wrong) {
    t.match(await post(event), { status, type: problem }, JSON.stringify(event).slice(0, 80))
  }
  const path = '/acme/api/theme/preview-events'
  for (const type of ['application/xml', 'text/plain', 'application/x-www-form-urlencoded']) {
    t.match(await ask('POST', path, JSON.stringify(good), type), { status: 415, type: problem }, type)
  }
  t.strictSame(await stored(), [])
})

t.test('what was kept is never changed, and goes only with its tenant', async (t) => {
  const { sql, history, post } = await setUp(t)
  const version = (await history()).body.items[0]?.version
  await post({ event_id: randomUUID(), theme_version: version, viewport: 'tablet' })
  for (const statement of [
    `update theme_versions set theme = '{}'`,
    'delete from theme_versions',
    'truncate theme_versions',
    `update theme_preview_events set viewport = 'mobile'`,
    'delete from theme_preview_events',
    'truncate theme_preview_events',
  ]) {
    await t.rejects(sql.query(statement), { code: '23001' }, statement)
  }
  await sql.query(`delete from themes where slug = 'acme'`)
  t.equal((await history()).body.items.length, 1, 'a theme that is gone has a history')
  await sql.query(`update tenants set slug = 'renamed' where slug = 'acme'`)
  t.equal((await history('', 'renamed')).body.items.length, 1)
  await sql.query(`delete from tenants where slug = 'renamed'`)
  const { rows } = await sql.query(
    `select (select count(*) from theme_versions) as versions, (select count(*) from theme_preview_events) as events`,
  )
  t.match(rows, [{ versions: '1', events: '0' }], 'the other tenant keeps his')
})

t.test('a page is read through the primary key, however long the history is', async (t) => {
  const { sql } = await setUp(t)
  await sql.query(`insert into theme_versions (tenant_id, version, theme, saved_at)
    select tenants.id, 1000 + n, '{}', now() from tenants, generate_series(1, 20000) as n`)
  await sql.query('analyze theme_versions')
  const { rows } = await sql.query(`explain (analyze, buffers off, format text)
    select version, saved_at, theme from theme_versions
    where tenant_id = (select id from tenants where slug = 'acme') and version < 15000
    order by version desc limit 21`)
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
  t.match(plan, /Index Scan Backward using theme_versions_pkey/, plan)
  t.match(plan, /rows=21/)
  t.notMatch(plan, /Sort|Seq Scan on theme_versions/)
})

t.test('the history of a database that has themes already begins with them', async (t) => {
  const url = await freshDatabase(postgres.directUrl)
  const sql = testPool(url, 1)
  t.teardown(() => sql.end())
  const guard = testGuard(t, url, 1)
  await migrateUp(guard, migrations.slice(0, 1))
  await sql.query(`insert into tenants (slug, name) values ('old', 'Old')`)
  await sql.query(`insert into themes (slug, theme) values ('old', '{"brand_name": "Old"}')`)
  await migrateUp(guard, migrations.slice(0, 2))
  const kept = async () => (await sql.query('select theme from theme_versions order by version')).rows
  t.strictSame(await kept(), [{ theme: { brand_name: 'Old' } }])
  await migrateDown(guard, migrations.slice(0, 2))
  await sql.query(`update themes set theme = '{}'`)
  await migrateUp(guard, migrations.slice(0, 2))
  t.strictSame(await kept(), [{ theme: {} }])
})
