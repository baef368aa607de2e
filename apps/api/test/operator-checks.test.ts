// The checks that operators look at, on a real database, with a clock of the test: how much was entered into the audit log
// lately, and how many notifications wait. Each changes its level when it should, and back.

import { circuitBreaker } from '@holdfast/circuit-breaker'
import { health } from '@holdfast/health'
import { Logs, logging, serverOptions } from '@holdfast/logging'
import { poolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import { AuditRepository } from '../src/audit/audit-repository.ts'
import { auditTrail } from '../src/audit/audit-trail.ts'
import { loadConfig } from '../src/config.ts'
import type { Database } from '../src/db/database.ts'
import { notifications } from '../src/notifications/notifications.ts'
import { jobs } from '../src/plugins/jobs.ts'
import { demoDatabase, testPool } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const NOTIFIED = {
  NOTIFY_WEBHOOK_URL: 'http://127.0.0.1:1/hook',
  NOTIFY_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  NOTIFY_ALLOW_PRIVATE: 'true',
}

/** The plugins that have these checks, and how to look at one of them again. */
async function setUp(t: Test, environment: Readonly<Record<string, string>> = NOTIFIED) {
  const url = await demoDatabase(postgres.directUrl)
  // Ahead of the clock of the pool, by which what is too late is refused; the time of day is that of the database.
  const clock = new HandClock({ nowMs: 1e9, wallMs: Date.now() })
  const { config } = loadConfig(environment)
  const logs = new Logs<FastifyRequest>({ destination: { write() {} } })
  const app = Fastify(serverOptions(logs))
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  await app.register(health, { service: 'test', version: '0', clock })
  await app.register(circuitBreaker)
  await app.register(poolGuard, { connectionString: url, max: 4 })
  await app.register(jobs, config)
  const parts = { prepare: async () => {}, clock, metrics: undefined }
  const db = new Kysely<Database>({ dialect: guardedDialect(app.poolGuard) })
  await app.register(auditTrail, { ...parts, repository: new AuditRepository(db) })
  await app.register(notifications, { ...parts, config, queue: app.jobs, deliver: false })
  const sql = testPool(url, 1)
  t.teardown(() => sql.end())
  const seen = (name: string) => app.health.snapshot().checks.find((check) => check.name === name)
  await app.ready()
  /** What the next look at it finds. */
  const look = async (name: 'audit' | 'notifications') => {
    const before = seen(name)?.executions ?? 0
    // In steps that are shorter than a look may take: it is real time that a database takes.
    const isLooking = () => seen(name)?.busy === true || (seen(name)?.executions ?? 0) > before
    while (!isLooking()) await clock.advance(400)
    await waitUntil(() => (seen(name)?.executions ?? 0) > before && seen(name)?.busy === false)
    return seen(name)
  }
  /** One good look is no recovery yet. */
  const recovered = async (name: 'audit' | 'notifications') => {
    let found = await look(name)
    for (let looks = 1; looks < 3 && found?.level !== 'healthy'; looks += 1) found = await look(name)
    return found
  }
  return { app, clock, sql, look, recovered }
}

t.test(
  'the queue of notifications is degraded when many wait, or one for long, and healthy again after',
  async (t) => {
    const { sql, look, recovered } = await setUp(t)
    t.match(await look('notifications'), {
      level: 'healthy',
      data: { pending: 0, oldest_seconds: 0, channels: { webhook: 'closed' } },
    })
    const put = (count: number) =>
      sql.query(
        `insert into notifications (kind, channel, payload) select 'k', 'webhook', '{}' from generate_series(1, $1::integer)`,
        [count],
      )
    const end = () =>
      sql.query(`update notifications set status = 'sent', ended_at = now() where status = 'pending'`)
    await put(999)
    t.match(await look('notifications'), { level: 'healthy', data: { pending: 999 } })
    await put(1)
    t.match(await look('notifications'), {
      level: 'degraded',
      reason: '1000 notifications wait',
      data: { pending: 1000 },
    })
    await end()
    t.match(await recovered('notifications'), { level: 'healthy', data: { pending: 0 } })
    await sql.query(
      `insert into notifications (kind, channel, payload, created_at)
     values ('k', 'webhook', '{}', clock_timestamp() - interval '601 seconds')`,
    )
    t.match(await look('notifications'), {
      level: 'degraded',
      reason: /^a notification has waited for 60\d s$/,
    })
    await end()
    t.match(await recovered('notifications'), { level: 'healthy', data: { pending: 0, oldest_seconds: 0 } })
  },
)

t.test('where nobody is told, nothing waits', async (t) => {
  const { look } = await setUp(t, {})
  t.match(await look('notifications'), { level: 'healthy', data: { channels: {}, pending: null } })
})

t.test('the audit log says how much the last hour has, and is degraded while entries are lost', async (t) => {
  const { app, clock, sql, look, recovered } = await setUp(t)
  t.match(await look('audit'), { level: 'healthy', data: { last_hour: 0, stored: 0, lost: 0 } })
  await sql.query(
    `insert into audit_log (actor, action, at)
     values ('a', 'b', now()), ('a', 'b', now() - interval '10 minutes'), ('a', 'b', now() - interval '2 hours')`,
  )
  t.match(await look('audit'), { level: 'healthy', data: { last_hour: 2 } })
  for (let at = 0; at < 1900; at += 1) app.audit.recordSoon({ actor: 'anonymous', action: 'a.flood' })
  t.match(await look('audit'), {
    level: 'degraded',
    reason: '100 entries were lost since the last look',
    data: { lost: 100 },
  })
  await clock.advance(1000)
  await waitUntil(() => app.audit.snapshot().stored === 1800)
  t.match(await recovered('audit'), { level: 'healthy', data: { last_hour: 1802, stored: 1800, lost: 100 } })
})
