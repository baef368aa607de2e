// The routes of dead letters, with the credentials of operators.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

t.setTimeout(240_000)

const TOKEN = 'a-token-of-operators'
const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const databaseUrl = await demoDatabase(postgres.directUrl)
const sql = testPool(databaseUrl)
t.teardown(() => sql.end())
const service = await ServiceApp.start(t, {
  DATABASE_URL: databaseUrl,
  ADMIN_TOKEN: TOKEN,
  ENABLE_METRICS: 'true',
})
const { fastify } = service.app

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown> & {
    readonly items: readonly { readonly id: string; readonly outcome?: string; readonly job_id?: string }[]
  }
}

async function ask(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
  token = TOKEN,
  remoteAddress = '127.0.0.1',
): Promise<Answer> {
  const answer = await fastify.inject({
    method,
    remoteAddress,
    url: `/admin/dlq/${path}`,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { payload: body }),
  })
  return { status: answer.statusCode, body: answer.json() }
}

async function bury(count: number, from = 1): Promise<readonly string[]> {
  const { rows } = await sql.query<{ id: string }>(
    `with jobs as (select n, gen_random_uuid() as job_id from generate_series($1::int, $2::int) as n)
     insert into jobs.job_common (name, data, keep_until, created_on, singleton_key, source_name, source_id,
       source_created_on, source_retry_count, source_output, source_root_id)
     select 'settle.dead', jsonb_build_object('payload', jsonb_build_object('event_id', n::text)),
       now() + interval '60 years', now() - interval '1 hour' + n * interval '1 second', job_id::text, 'settle', job_id,
       now() - interval '2 hours', 8, '{"kind": "retryable", "name": "Error", "message": "down", "code": "E_DOWN"}', job_id
     from jobs order by n returning id`,
    [from, from + count - 1],
  )
  return rows.map(({ id }) => id)
}

const audited = async () =>
  (
    await sql.query(
      `select actor, action, subject, reason from audit_log where action like 'dead_letter%' order by id`,
    )
  ).rows

t.test('only operators look at dead letters, and act on them', async (t) => {
  const [id = ''] = await bury(1)
  const trader = (await bearerOf(databaseUrl, 'acme/trader@acme.example')) ?? ''
  for (const [method, path, body] of [
    ['GET', 'settle'],
    ['GET', `settle/${id}`],
    ['POST', `settle/${id}/replay`],
    ['POST', 'settle/replay', { limit: 1, dry_run: true }],
    ['DELETE', `settle/${id}?reason=x`],
  ] as const) {
    t.match(await ask(method, path, body, 'nonsense'), { status: 401 }, `${method} ${path}`)
    t.match(await ask(method, path, body, trader), { status: 403 }, `${method} ${path}: he has not the role`)
  }
  for (const [method, path, body] of [
    ['GET', 'nowhere'],
    ['GET', 'settle?limit=0'],
    ['POST', 'settle/replay', {}],
    ['DELETE', `settle/${id}`],
  ] as const) {
    const why = `${method} ${path}: nobody else is told what is wrong with it`
    t.match(await ask(method, path, body, 'nonsense'), { status: 401 }, why)
  }
  const unread = await fastify.inject({
    method: 'POST',
    url: '/admin/dlq/settle/replay',
    headers: { 'content-type': 'application/json' },
    payload: '{',
  })
  t.equal(unread.statusCode, 401, 'what he has sent is not even read')
  t.strictSame(await audited(), [])
  t.match((await ask('GET', `settle/${id}`)).body, { state: 'open' })
})

t.test('they are listed, shown, replayed and discarded', async (t) => {
  const ids = await bury(5, 10)
  const first = await ask('GET', 'settle?limit=4')
  t.match(first, { status: 200, body: { items: { length: 4 }, next_cursor: String } })
  t.match(first.body.items[0], {
    id: ids[4],
    queue: 'settle',
    state: 'open',
    attempts: 9,
    key: null,
    error: { kind: 'retryable', name: 'Error', message: 'down', code: 'E_DOWN' },
    died_at: /Z$/,
    ended_at: null,
  })
  const second = await ask('GET', `settle?limit=4&cursor=${first.body['next_cursor']}`)
  t.match(second, { status: 200, body: { items: { length: 2 }, next_cursor: null } })
  t.match(await ask('GET', 'settle?code=E_OTHER'), { body: { items: { length: 0 } } })
  t.match(await ask('GET', 'settle?died_before=2020-01-01T00:00:00Z'), { body: { items: { length: 0 } } })
  t.match(await ask('GET', `settle/${ids[0]}`), {
    status: 200,
    body: {
      id: ids[0],
      payload: '{"event_id":"10"}',
      replays: 0,
      history: { length: 1 },
      correlation_id: null,
    },
  })

  const replayed = await ask('POST', `settle/${ids[0]}/replay`)
  t.match(replayed, { status: 200, body: { id: ids[0], job_id: String, repeated: false } })
  t.match(await ask('POST', `settle/${ids[0]}/replay`), {
    body: { job_id: replayed.body['job_id'], repeated: true },
  })
  const order = { limit: 2, died_before: new Date().toISOString(), code: 'E_DOWN' }
  const dry = await ask('POST', 'settle/replay', { ...order, dry_run: true })
  t.match(dry, { status: 200, body: { dry_run: true, replayed: 2, items: { length: 2 } } })
  const real = await ask('POST', 'settle/replay', { ...order, dry_run: false })
  t.strictSame(
    real.body.items.map(({ id }) => id),
    dry.body.items.map(({ id }) => id),
  )
  t.match(real.body, { dry_run: false, replayed: 2 })

  t.match(await ask('DELETE', `settle/${ids[4]}`), { status: 400 }, 'not without a reason')
  t.match(await ask('DELETE', `settle/${ids[4]}?reason=%20`), { status: 400 })
  t.match(await ask('DELETE', `settle/${ids[4]}?reason=void`), { status: 200, body: { repeated: false } })
  t.match(await ask('GET', 'settle?state=discarded'), { body: { items: [{ id: ids[4], reason: 'void' }] } })
  t.match(await ask('POST', `settle/${ids[4]}/replay`), {
    status: 409,
    body: { error: 'HOLDFAST_ERR_API_DEAD_LETTER_STATE' },
  })
  t.match(await audited(), [
    { actor: 'operator token', action: 'dead_letter.replay', subject: `settle/${ids[0]}` },
    { action: 'dead_letter.replay_many', subject: 'settle' },
    { action: 'dead_letter.discard', subject: `settle/${ids[4]}`, reason: 'void' },
  ])
  t.equal((await audited()).length, 3)
  const { rows } = await sql.query(`select count(*) from audit_log where action like 'admin.%'`)
  t.match(rows, [{ count: '0' }], 'each of them once')
})

t.test('what cannot be is refused before the database is asked', async (t) => {
  const nobody = '00000000-0000-4000-8000-000000000000'
  t.match(await ask('GET', `settle/${nobody}`), {
    status: 404,
    body: { error: 'HOLDFAST_ERR_API_DEAD_LETTER_UNKNOWN' },
  })
  t.match(await ask('POST', `settle/${nobody}/replay`), { status: 404 })
  const wrong = [
    ['GET', 'settle.dead'],
    ['GET', 'pg_catalog'],
    ['GET', 'settle?limit=0'],
    ['GET', 'settle?limit=101'],
    ['GET', 'settle?cursor=nonsense'],
    ['GET', `settle?cursor=0.${nobody}`],
    ['GET', `settle?cursor=99999999999999999999.${nobody}`],
    ['GET', 'settle?state=all'],
    ['GET', 'settle?died_before=yesterday'],
    ['GET', 'settle?died_before=2016-12-31T23:59:60Z'],
    ['GET', 'settle?died_before=0000-01-01T00:00:00Z'],
    ['GET', 'settle?died_before=9999-12-31T23:59:59-23:59'],
    ['GET', 'settle?code=%00'],
    ['GET', 'settle?code=a&code=b'],
    ['GET', 'settle/7'],
    ['POST', 'settle/replay', {}],
    ['POST', 'settle/replay', { limit: 101, dry_run: true }],
    ['POST', 'settle/replay', { limit: 1 }],
    ['POST', 'settle/replay', { limit: 1, dry_run: true, all: true }],
    // Whoever does not say that he means it does not mean it.
    ['POST', 'settle/replay', { limit: 1, dry_run: null }],
    ['POST', 'settle/replay', { limit: 1, dry_run: 'false' }],
    ['POST', 'settle/replay', { limit: 1, dry_run: 0 }],
    ['POST', 'settle/replay', { limit: 1, dry_run: true, code: '\0' }],
    ['POST', 'settle/replay', { limit: 1, dry_run: true, died_before: '2016-12-31T23:59:60Z' }],
    ['DELETE', `settle/${nobody}?reason=%20%20`],
    ['DELETE', `settle/${nobody}?reason=a%00b`],
    ['DELETE', `settle/${nobody}?reason=${'x'.repeat(1001)}`],
  ] as const
  for (const [at, [method, path, body]] of wrong.entries()) {
    // Each from an address of its own, which has a limit of its own.
    const answer = await ask(method, path, body, TOKEN, `192.0.2.${at}`)
    t.match(answer, { status: 400 }, `${method} ${path} ${JSON.stringify(body)}`)
  }
})

t.test('how many there are is measured', async (t) => {
  const text = await fastify.metrics.scrape()
  const value = (name: string) =>
    Number(new RegExp(`^${name.replaceAll(/[{}"]/g, '\\$&')} (\\S+)`, 'm').exec(text)?.[1])
  t.ok(value('job_dead_letters{queue="settle"}') >= 1)
  t.equal(value('job_dead_letters{queue="notify"}'), 0)
  t.equal(value('job_queue_depth{queue="settle",state="waiting"}'), 3)
  t.ok(value('job_oldest_ready_age_seconds{queue="settle"}') > 0)
  t.ok(value('job_oldest_dead_letter_age_seconds{queue="settle"}') > 3000)
})
