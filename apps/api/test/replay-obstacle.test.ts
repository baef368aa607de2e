// A dead letter is not put in again while it is known that its job would die again.

import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { ask } from './sign-in-client.ts'
import { startToldServer } from './told-server.ts'

t.setTimeout(120_000)

const TOKEN = 'a-token-of-operators'
const OBSTACLE = 'HOLDFAST_ERR_API_REPLAY_OBSTACLE'

t.test('while the way of a message or the database is not open, replays are refused', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const hook = await startToldServer(t)
  const url = await demoDatabase(postgres.directUrl)
  const sql = testPool(url)
  t.teardown(() => sql.end())
  const service = await ServiceApp.start(t, {
    DATABASE_URL: url,
    ADMIN_TOKEN: TOKEN,
    NOTIFY_WEBHOOK_URL: `${hook.url}/hook`,
    NOTIFY_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    NOTIFY_ALLOW_PRIVATE: 'true',
  })
  const { circuitBreaker, poolGuard } = service.app.fastify
  const bury = async (queue: string, payload: object) => {
    const { rows } = await sql.query<{ id: string }>(
      `with job as (select gen_random_uuid() as id)
       insert into jobs.job_common (name, data, keep_until, singleton_key, source_name, source_id, source_created_on,
         source_retry_count, source_output, source_root_id)
       select $1 || '.dead', jsonb_build_object('payload', $2::jsonb), now() + interval '60 years', id::text, $1, id,
         now(), 10, '{"kind": "retryable", "name": "Error", "message": "down"}', id from job returning id`,
      [queue, JSON.stringify(payload)],
    )
    return rows[0]?.id ?? ''
  }
  const message = await bury('notify', { notification_id: '999', channel: 'webhook', postponed: 0 })
  const unreadable = await bury('notify', {})
  const settlement = await bury('settle', { event_id: '999', provider_version: '1' })
  const post = (path: string, body?: object) =>
    ask(service.url, 'POST', `/admin/dlq/${path}`, body, { authorization: `Bearer ${TOKEN}` })
  const all = (queue: string, dry_run = false) => post(`${queue}/replay`, { limit: 10, dry_run })
  /** Of these three: what comes of a replay may die again. */
  const open = async () =>
    (
      await sql.query(`select from jobs.job_common where id = any($1) and state = 'created'`, [
        [message, unreadable, settlement],
      ])
    ).rowCount

  const letGo = circuitBreaker.get('notification')?.isolate('a test')
  for (const answer of [
    await post(`notify/${message}/replay`),
    await all('notify'),
    await all('notify', true),
  ]) {
    t.match(answer, { status: 503, body: { error: OBSTACLE, retry_after: 120 } })
    t.equal(answer.headers.get('retry-after'), '120')
    t.match(answer.body['detail'], /the breaker of webhook is open/)
  }
  t.equal(await open(), 3, 'and nothing was touched')
  t.match(await post(`notify/${unreadable}/replay`), { status: 200 }, 'what goes by no way is not held up')
  t.match(await all('settle', true), { status: 200, body: { replayed: 1 } }, 'nor is what needs another one')
  letGo?.()
  t.match(await post(`notify/${message}/replay`), { status: 200, body: { repeated: false } })

  const clients = await Promise.all(Array.from({ length: 27 }, () => poolGuard.acquire()))
  await waitUntil(() => poolGuard.pressure.state === 'pressed')
  for (const answer of [await post(`settle/${settlement}/replay`), await all('settle')]) {
    t.match(answer, { status: 503, body: { error: OBSTACLE, retry_after: 1 } })
  }
  t.equal((await sql.query(`select from audit_log where subject like '%${settlement}%'`)).rowCount, 0)
  for (const client of clients) client.release()
  await waitUntil(() => poolGuard.pressure.state === 'normal')
  t.match(await post(`settle/${settlement}/replay`), { status: 200, body: { repeated: false } })
  t.equal(await open(), 0)
})
