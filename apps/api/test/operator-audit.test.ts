// Who did what in a running service: what operators do by any route, what is told as a security event, and who may read
// of it.

import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import { AuditRepository, MOST_COUNTED } from '../src/audit/audit-repository.ts'
import { namedRoutes } from '../src/audit/operator-actions.ts'
import type { Database } from '../src/db/database.ts'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { newBearer } from './bearer-of.ts'
import { demoDatabase, freshDatabase, testGuard, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { ask } from './sign-in-client.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const ADMIN_TOKEN = 'a-token-for-operators-of-tests'
const SCRAPER = 'a-token-for-metrics-of-tests'
const OPERATOR = { authorization: `Bearer ${ADMIN_TOKEN}` }

type Row = Readonly<Record<string, unknown>>

async function setUp(t: Test) {
  const url = await demoDatabase(postgres.directUrl)
  const service = await ServiceApp.start(t, { DATABASE_URL: url, ADMIN_TOKEN, METRICS_TOKEN: SCRAPER })
  const sql = testPool(url, 1)
  t.teardown(() => sql.end())
  const rows = async (): Promise<readonly Row[]> =>
    (await sql.query('select * from audit_log order by id')).rows as Row[]
  const page = (query = '', headers: Readonly<Record<string, string>> = OPERATOR) =>
    ask(service.url, 'GET', `/admin/audit${query}`, undefined, headers)
  return { service, url, sql, rows, page }
}

const NO_BANNER = { banner: null }
const OPEN = { enabled: false, rules: [] }
const SERVING = { state: 'serving', cordon: null }

/** What an operator does, and the row that it leaves. In their order: each begins where the one before has ended. */
const DONE: readonly (readonly [method: string, path: string, body: object | undefined, row: Row])[] = [
  [
    'POST',
    '/admin/maintenance/enable',
    { message: 'soon', reason: 'a larger disk' },
    {
      action: 'maintenance.enable',
      before: OPEN,
      after: { enabled: true, rules: [{ id: 'maintenance', message: 'soon' }] },
      reason: 'a larger disk',
    },
  ],
  [
    'POST',
    '/admin/maintenance/disable',
    undefined,
    { action: 'maintenance.disable', before: { enabled: true }, after: OPEN },
  ],
  [
    'PUT',
    '/admin/maintenance/rules/night',
    { scope: { group: 'themes' }, mode: 'read-only' },
    { action: 'maintenance.rule.set', subject: 'night', before: OPEN, after: { rules: [{ id: 'night' }] } },
  ],
  [
    'DELETE',
    '/admin/maintenance/rules/night?reason=over',
    undefined,
    { action: 'maintenance.rule.remove', subject: 'night', after: OPEN, reason: 'over' },
  ],
  [
    'POST',
    '/admin/maintenance/bypasses',
    { duration_ms: 60_000 },
    { action: 'maintenance.bypass.issue', before: null, after: { id: /./, until: /Z$/ } },
  ],
  [
    'DELETE',
    '/admin/maintenance/bypasses',
    undefined,
    { action: 'maintenance.bypass.revoke', before: { epoch: 1 }, after: { epoch: 2 } },
  ],
  [
    'POST',
    '/admin/banner',
    { message: 'Hello' },
    { action: 'banner.set', before: NO_BANNER, after: { banner: { message: 'Hello' } } },
  ],
  [
    'POST',
    '/admin/banner/clear',
    undefined,
    { action: 'banner.clear', before: { banner: { message: 'Hello' } }, after: NO_BANNER },
  ],
  [
    'PUT',
    '/admin/limits',
    { limits: { status: '99/minute' } },
    {
      action: 'limits.replace',
      before: { change: null },
      after: { change: { limits: { status: '99/minute' } } },
    },
  ],
  [
    'DELETE',
    '/admin/limits',
    undefined,
    {
      action: 'limits.reset',
      before: { change: { limits: { status: '99/minute' } } },
      after: { change: null },
    },
  ],
  [
    'POST',
    '/admin/lifecycle/cordon',
    { reason: 'a look' },
    {
      action: 'instance.cordon',
      before: SERVING,
      after: { state: 'cordoned', cordon: 'a look' },
      reason: 'a look',
    },
  ],
  [
    'POST',
    '/admin/lifecycle/uncordon',
    undefined,
    { action: 'instance.uncordon', before: { state: 'cordoned' }, after: SERVING },
  ],
  [
    'PUT',
    '/admin/log-level',
    { level: 'error', for_seconds: 60 },
    { action: 'log.level.set', before: { level: 'info' }, after: { level: 'error' } },
  ],
  [
    'DELETE',
    '/admin/log-level',
    undefined,
    { action: 'log.level.reset', before: { level: 'error' }, after: { level: 'info' } },
  ],
  [
    'POST',
    '/admin/abuse/blocks',
    { address: '192.0.2.7', reason: 'a flood' },
    {
      action: 'abuse.block',
      subject: '192.0.2.7',
      before: { block: null },
      after: { block: { reason: 'a flood', until: /Z$/ } },
      reason: 'a flood',
    },
  ],
  [
    'DELETE',
    '/admin/abuse/blocks/192.0.2.7',
    undefined,
    { action: 'abuse.unblock', subject: '192.0.2.7', before: { block: {} }, after: { block: null } },
  ],
]

t.test('whatever an operator does leaves a row: who, what, how it was, how it is, by which id', async (t) => {
  const { service, rows } = await setUp(t)
  service.app.fastify.abuseGuard.flag('7', 'too often')
  const all = [
    ...DONE,
    [
      'DELETE',
      '/admin/abuse/users/7',
      undefined,
      {
        action: 'abuse.pardon',
        subject: '7',
        before: { flag: { reason: 'too often' } },
        after: { flag: null },
      },
    ],
  ] as const
  const ids: (string | null)[] = []
  for (const [method, path, body] of all) {
    const answer = await ask(service.url, method, path, body, OPERATOR)
    if (answer.status >= 300) t.fail(`${method} ${path} answered ${answer.status}: ${answer.text}`)
    ids.push(answer.headers.get('x-correlation-id'))
    // What is before a block, and a cordon, is told only of what has been answered.
  }
  await waitUntil(
    async () => (await rows()).filter(({ actor }) => actor === 'operator token').length >= all.length,
  )
  const entered = (await rows()).filter(({ actor }) => actor === 'operator token')
  t.equal(entered.length, all.length, 'one row each')
  for (const [at, [method, path, , expected]] of all.entries()) {
    t.match(entered[at], { ...expected, correlation_id: ids[at] }, `${method} ${path}`)
  }
  const actions = (await rows()).map(({ action }) => action)
  for (const event of ['maintenance.changed', 'limits.changed', 'instance.cordoned', 'log.level.changed']) {
    t.notOk(actions.includes(event), `${event} says nothing else`)
  }
  const named = all.map(([method, path]) => `${method} ${path.replace(/\?.*/, '')}`)
  const patterns = namedRoutes.map((route) => new RegExp(`^${route.replaceAll(/:\w+/g, '[^/]+')}$`))
  for (const pattern of patterns)
    t.ok(
      named.some((route) => pattern.test(route)),
      String(pattern),
    )
  const answers = JSON.stringify(entered)
  t.notMatch(answers, /eyJ|"token"/, 'the token of a bypass is in none')
})

t.test('every route that changes something for operators is one that leaves a row', async (t) => {
  const { service } = await setUp(t)
  const changing = [...service.app.fastify.accessRules]
    .filter(([route, rule]) => rule !== 'public' && /^(POST|PUT|PATCH|DELETE) \/admin\//.test(route))
    .map(([route]) => route)
  const known = new Set(namedRoutes)
  // What replays and discards dead letters enters it in its own transaction.
  const own = changing.filter((route) => !known.has(route) && !/ \/admin\/dlq\//.test(route))
  t.strictSame(own, [])
  t.strictSame(
    namedRoutes.filter((route) => !changing.includes(route)),
    [],
    'and each of these is a route',
  )
})

t.test('an action that fails is entered with its status; who may not act leaves no action', async (t) => {
  const { service, rows } = await setUp(t)
  const { url } = service
  t.match(await ask(url, 'PUT', '/admin/limits', { limits: { nothing: 'x' } }, OPERATOR), { status: 400 })
  t.match(await ask(url, 'PUT', '/admin/limits', {}, {}), { status: 401 })
  t.match(await ask(url, 'PUT', '/admin/limits', {}, { authorization: 'Bearer a-wrong-one' }), {
    status: 401,
  })
  t.match(await ask(url, 'PATCH', '/admin/limits', {}, OPERATOR), { status: 405 })
  await waitUntil(async () => (await rows()).length >= 2)
  t.match(await rows(), [
    {
      actor: 'operator token',
      action: 'limits.replace',
      before: { change: null },
      after: { answered: 400, state: { change: null } },
    },
    { actor: 'anonymous', action: 'operator-token.refused', subject: '127.0.0.1', after: { times: 1 } },
  ])
})

t.test('who may not act leaves no action, by whatever route', async (t) => {
  const { service, sql } = await setUp(t)
  for (const route of namedRoutes) {
    const [method = '', path = ''] = route.split(' ')
    // A body that is right: what is wrong with one may be said before it is looked at who asks.
    const [, , body] = DONE.find(([, each]) => each === path) ?? []
    const answer = await ask(service.url, method, path.replaceAll(/:\w+/g, 'x'), body)
    t.equal(answer.status, 401, route)
  }
  service.app.fastify.audit.recordSoon({ actor: 'test', action: 'the.end' })
  await waitUntil(
    async () => (await sql.query(`select from audit_log where action = 'the.end'`)).rowCount === 1,
  )
  t.strictSame((await sql.query(`select action from audit_log where action <> 'the.end'`)).rows, [])
})

t.test(
  'without the database operators act as with it; rows come when it is back, and what is lost is told',
  async (t) => {
    const own = await startPostgres()
    t.teardown(() => own.stop())
    const url = await demoDatabase(own.directUrl)
    const service = await ServiceApp.start(t, {
      DATABASE_URL: url,
      ADMIN_TOKEN,
      ENABLE_METRICS: 'true',
      METRICS_TOKEN: SCRAPER,
    })
    const { audit, logging } = service.app.fastify
    own.kill9()
    const ids: (string | null)[] = []
    for (const [method, path, body] of DONE) {
      const answer = await ask(service.url, method, path, body, OPERATOR)
      t.ok(answer.status < 300, `${method} ${path} answered ${answer.status}`)
      ids.push(answer.headers.get('x-correlation-id'))
    }
    t.match(audit.snapshot(), { stored: 0, lost: 0 })
    t.ok(audit.snapshot().queued >= DONE.length)
    // Whatever happens meanwhile, memory is bounded, and there is room for operators.
    for (let at = 0; at < 2500; at += 1) logging.event('SECURITY_EVENT', 'a.flood', { at })
    const full = audit.snapshot()
    t.equal(full.queued, 1800)
    t.ok(full.lost > 600)
    t.match(await ask(service.url, 'POST', '/admin/banner', { message: 'We are at it' }, OPERATOR), {
      status: 200,
    })
    t.equal(audit.snapshot().queued, 1801)
    const scraped = await ask(service.url, 'GET', '/metrics', undefined, {
      authorization: `Bearer ${SCRAPER}`,
    })
    t.match(scraped.text, new RegExp(`^audit_entries_total\\{outcome="lost"\\} ${full.lost}$`, 'm'))
    t.match(scraped.text, /^audit_queued_entries 1801$/m)
    await waitUntil(() => service.stdout.includes('entries of the audit log are lost'))

    await own.restart()
    await waitUntil(() => audit.snapshot().queued === 0, { timeoutMs: 60_000, what: 'an empty queue' })
    const sql = testPool(url, 1)
    t.teardown(() => sql.end())
    const entered = (await sql.query(`select * from audit_log where actor = 'operator token' order by id`))
      .rows
    t.equal(entered.length, DONE.length + 1)
    for (const [at, [method, path, , expected]] of DONE.entries()) {
      t.match(entered[at], { ...expected, correlation_id: ids[at] }, `${method} ${path}`)
    }
    t.equal(audit.snapshot().lost, full.lost, 'and nothing more is lost')
  },
)

t.test('an administrator is entered by his id, and what people do at the door by theirs', async (t) => {
  const { service, url, rows, page } = await setUp(t)
  const sql = testPool(url, 1)
  t.teardown(() => sql.end())
  const admin = (
    await sql.query(
      `select users.id, slug, email from users join tenants on tenants.id = tenant_id where role = 'admin' limit 1`,
    )
  ).rows[0]
  const token = await newBearer(url, `${admin?.['slug']}/${admin?.['email']}`)
  const bearer = { authorization: `Bearer ${token}` }
  t.match(await ask(service.url, 'POST', '/admin/banner', { message: 'Hi' }, bearer), { status: 200 })
  const account = { tenant: 'acme', email: 'nobody@acme.example', password: 'hunter22 hunter22' }
  t.match(await ask(service.url, 'POST', '/auth/login', account), { status: 401 })
  await waitUntil(async () => (await rows()).length >= 2)
  t.match(await rows(), [
    { actor: admin?.['id'], tenant: admin?.['slug'], action: 'banner.set' },
    { actor: 'anonymous', tenant: 'acme', action: 'sign-in.refused', subject: '127.0.0.1' },
  ])
  t.notMatch(JSON.stringify(await rows()), /hunter22|nobody@/)
  // He may read of it, too; others may not.
  t.match(await page('', bearer), { status: 200 })
  t.match(await page('', {}), { status: 401 })
  const trader = (
    await sql.query(
      `select email from users join tenants on tenants.id = tenant_id where role = 'user' and slug = 'acme'`,
    )
  ).rows[0]
  const usual = await newBearer(url, `acme/${trader?.['email']}`)
  t.match(await page('', { authorization: `Bearer ${usual}` }), {
    status: 403,
    body: { error: 'HOLDFAST_ERR_API_FORBIDDEN', detail: 'this needs the role admin' },
  })
  const old = await newBearer(url, `${admin?.['slug']}/${admin?.['email']}`, Date.now() - 3_600_000)
  const again = await page('', { authorization: `Bearer ${old}` })
  t.match(again, { status: 401, body: { error: 'HOLDFAST_ERR_API_STALE_SIGN_IN' } })
  t.match(again.headers.get('www-authenticate'), /realm="admin", error="insufficient_user_authentication"/)
  service.app.fastify.audit.recordSoon({ actor: 'test', action: 'the.end' })
  await waitUntil(async () => (await rows()).some(({ action }) => action === 'the.end'))
  const actions = (await rows()).map(({ action }) => action)
  t.notOk(actions.includes('operator-token.refused'), 'his own token is no guess at that of operators')
})

t.test('pages are the newest first, of one action, one actor or one tenant', async (t) => {
  const { sql, page } = await setUp(t)
  await sql.query(
    `insert into audit_log (actor, tenant, action, after)
     select 'user-' || n % 3, case when n % 2 = 0 then 'acme' end, 'test.' || case when n % 5 = 0 then 'five' else 'other' end,
       jsonb_build_object('n', n) from generate_series(1, 60) as n`,
  )
  const numbers = (body: { readonly items?: readonly Row[] }) =>
    (body.items ?? []).map(({ after }) => (Object(after) as { n?: number }).n)
  const first = await page()
  t.equal(first.status, 200)
  t.equal(first.headers.get('cache-control'), 'no-store')
  t.strictSame(
    numbers(first.body),
    Array.from({ length: 20 }, (_, at) => 60 - at),
  )
  t.match(first.body.items?.[0], {
    id: /^\d+$/,
    at: /^\d{4}-.*Z$/,
    actor: 'user-0',
    tenant: 'acme',
    action: 'test.five',
    subject: null,
    before: null,
    after: { n: 60 },
    reason: null,
    correlation_id: null,
  })
  const seen: unknown[] = []
  for (let cursor = ''; ; ) {
    const { body } = await page(`?limit=7&actor=user-1${cursor}`)
    seen.push(...numbers(body))
    if (body['next_cursor'] === null) break
    cursor = `&cursor=${body['next_cursor']}`
  }
  t.strictSame(
    seen,
    Array.from({ length: 20 }, (_, at) => 58 - 3 * at),
  )
  t.strictSame(numbers((await page('?action=test.five&tenant=acme')).body), [60, 50, 40, 30, 20, 10])
  t.strictSame((await page('?action=test.never')).body, { items: [], next_cursor: null })
  for (const query of [
    '?limit=0',
    '?limit=101',
    '?cursor=x',
    '?cursor=0',
    '?action=A',
    '?actor=',
    '?actor=%00',
    '?actor=a&actor=b',
    '?x=1',
    '?tenant=-',
  ]) {
    t.match(await page(query), { status: 400 }, query)
  }
})

t.test('health says how much was entered lately', async (t) => {
  const { service, sql } = await setUp(t)
  await sql.query(`insert into audit_log (actor, action) select 'a', 'b' from generate_series(1, 3)`)
  await waitUntil(async () => {
    const answer = await ask(service.url, 'GET', '/health/check', undefined, {
      authorization: `Bearer ${SCRAPER}`,
    })
    if (answer.status !== 200) return false
    const { audit } = answer.body['checks'] as { audit?: { status?: string } }
    return audit?.status === 'healthy'
  })
  const repository = new AuditRepository(
    new Kysely<Database>({ dialect: guardedDialect(service.app.fastify.poolGuard) }),
  )
  t.equal(await repository.countSince(new Date(Date.now() - 60_000)), 3)
  t.equal(await repository.countSince(new Date(Date.now() + 60_000)), 0)
})

t.test('with 100,000 rows every page, and the count, are read through an index', async (t) => {
  const pool = testGuard(t, await freshDatabase(postgres.directUrl))
  await migrateUp(pool, migrations)
  // In parts: of one statement a busy machine could make more than it may take.
  for (let from = 100_000; from > 0; from -= 10_000) {
    await pool.query(
      `insert into audit_log (at, actor, tenant, action)
       select now() - n * interval '1 minute', 'user-' || n % 1000, case when n % 100 = 0 then 'tenant-' || n % 7 end,
         'action.' || n % 1000
       from generate_series($1::integer, $1 - 9999, -1) as n`,
      [from],
    )
  }
  await pool.query('vacuum analyze audit_log')
  const repository = new AuditRepository(new Kysely<Database>({ dialect: guardedDialect(pool) }))
  const planOf = async (query: {
    compile(): { readonly sql: string; readonly parameters: readonly unknown[] }
  }) => {
    const { sql, parameters } = query.compile()
    const { rows } = await pool.query(`explain ${sql}`, parameters)
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  }
  for (const [filter, index] of [
    [{}, 'audit_log_pkey'],
    [{ action: 'action.7' }, 'audit_log_by_action'],
    [{ actor: 'user-7' }, 'audit_log_by_actor'],
    [{ tenant: 'tenant-3' }, 'audit_log_by_tenant'],
  ] as const) {
    const plan = await planOf(repository.entriesQuery(filter, 90_000n, 21))
    t.match(plan, `Index Scan Backward using ${index}`, plan)
    t.notMatch(plan, /Sort|Seq Scan/)
  }
  const counted = await planOf(repository.countQuery(new Date(Date.now() - 3_600_000)))
  t.match(counted, /Index Only Scan using audit_log_by_time/, counted)
  t.equal(await repository.countSince(new Date(0)), MOST_COUNTED, 'and no more are counted')
})
