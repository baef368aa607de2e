// The schema `jobs`: what the installed pg-boss would make, the queues as the code has them, and the way back.

import { startPostgres } from '@holdfast/test-kit'
import { getConstructionPlans, PgBoss } from 'pg-boss'
import t from 'tap'
import { migrateDown, migrateUp } from '../src/db/migrator.ts'
import { lackingQueues, QUEUE_NAMES, QUEUES, type StoredQueue } from '../src/jobs/queues.ts'
import { migrations } from '../src/migrations/index.ts'
import { PG_BOSS_43 } from '../src/migrations/pg-boss-43.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'
import { jobBench } from './job-bench.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

t.test('the frozen plan is that of the installed pg-boss', (t) => {
  const plan = getConstructionPlans('jobs')
  const [, inside = ''] = /pg_advisory_xact_lock\([^\n]*\n([\s\S]*?)\n *COMMIT;\s*$/.exec(plan) ?? []
  t.equal(PG_BOSS_43.trim(), inside.replace(/^CREATE SCHEMA IF NOT EXISTS jobs;\n/, '').trim())
  t.match(plan, /^\s*BEGIN;\s*SET LOCAL lock_timeout/, 'and stands in a transaction, as a migration does')
  t.end()
})

t.test('pg-boss finds nothing wrong with what the migration has made', async (t) => {
  const { pool } = await jobBench(t, postgres.directUrl)
  const boss = new PgBoss({
    schema: 'jobs',
    db: { executeSql: (text, values) => pool.query(text, values) },
    migrate: false,
    supervise: false,
    schedule: false,
  })
  boss.on('error', (error) => t.fail(error.message))
  t.equal(await boss.isInstalled(), true)
  const { rows } = await pool.query('select version from jobs.version')
  t.equal(await boss.schemaVersion(), rows[0]?.['version'])
  const report = await boss.detectSchemaDrift()
  const ours = ['active_jobs', 'dead_letters_by_time'].map((name) => ({ name, table: 'job_common' }))
  for (const [what, found] of Object.entries(report)) {
    if (Array.isArray(found)) t.strictSame(found, what === 'extraIndexes' ? ours : [], what)
  }
})

t.test('the queues are as the code has them, and keep what waits', async (t) => {
  const { sql } = await jobBench(t, postgres.directUrl)
  const { rows } = await sql.query('select * from jobs.queue order by name')
  const stored = new Map(rows.map((row) => [String(row.name), row]))
  t.equal(stored.size, 2 * QUEUE_NAMES.length)
  for (const name of QUEUE_NAMES) {
    const rules = QUEUES[name]
    t.match(stored.get(name), {
      policy: 'short',
      retry_limit: rules.retries,
      retry_delay: rules.backoffSeconds,
      retry_backoff: true,
      retry_delay_max: null,
      expire_seconds: rules.deadlineSeconds,
      heartbeat_seconds: rules.heartbeatSeconds,
      dead_letter: rules.deadLetters,
      notify: false,
      partition: false,
    })
    const letters = stored.get(rules.deadLetters)
    t.match(letters, { policy: 'standard', dead_letter: null })
    const days = (seconds: number) => seconds / 86_400
    t.ok(days(letters?.retention_seconds) > 20_000, 'nobody deletes what nobody has dealt with')
    t.ok(days(letters?.deletion_seconds) >= 90, 'nor soon what somebody has')
    t.ok(days(stored.get(name)?.retention_seconds) > 20_000)
  }
  t.match((await sql.query('select monitor_backoff_on from jobs.version')).rows, [
    { monitor_backoff_on: Number.POSITIVE_INFINITY },
  ])
})

t.test('what is lacking of the queues is said in words', (t) => {
  const all: StoredQueue[] = QUEUE_NAMES.flatMap((name) => [
    { name, policy: 'short', dead_letter: QUEUES[name].deadLetters },
    { name: QUEUES[name].deadLetters, policy: 'standard', dead_letter: null },
  ])
  const without = (name: string) => all.filter((queue) => queue.name !== name)
  t.strictSame(lackingQueues(all), [])
  t.strictSame(lackingQueues(without('settle')), ['no queue settle'])
  t.strictSame(lackingQueues(without('notify.dead')), ['no queue notify.dead'])
  const other = (queue: Partial<StoredQueue>) =>
    all.map((one) => (one.name === 'settle' ? { ...one, ...queue } : one))
  t.strictSame(lackingQueues(other({ policy: 'standard' })), [
    'a queue settle of the policy standard, not short',
  ])
  t.match(lackingQueues(other({ dead_letter: null })), [/go to nobody, not settle\.dead/])
  t.match(lackingQueues(other({ dead_letter: 'notify.dead' })), [/go to notify\.dead, not settle\.dead/])
  t.equal(lackingQueues([]).length, 4)
  t.end()
})

t.test(
  'the migration can be taken back and applied again, by whoever may create schemas or not',
  async (t) => {
    const url = await freshDatabase(postgres.directUrl)
    const pool = testGuard(t, url)
    const there = async () =>
      (
        await pool.query(
          `select relname from pg_class where relnamespace = to_regnamespace('jobs')
         union all select proname from pg_proc where pronamespace = to_regnamespace('jobs')
         union all select typname from pg_type where typnamespace = to_regnamespace('jobs')`,
        )
      ).rowCount
    await migrateUp(pool, migrations)
    const objects = await there()
    t.ok((objects ?? 0) > 30, `${objects} objects`)
    const at = migrations.findIndex(({ name }) => name === '0009-jobs')
    for (const { name } of migrations.slice(at).toReversed()) {
      t.equal(await migrateDown(pool, migrations), name)
    }
    t.equal(await there(), 0)
    t.match((await pool.query(`select to_regnamespace('jobs') as jobs`)).rows, [{ jobs: null }])
    await pool.query('create schema jobs')
    t.strictSame(
      await migrateUp(pool, migrations.slice(0, at + 1)),
      ['0009-jobs'],
      'also into a schema that is there',
    )
    t.equal(await there(), objects)
  },
)
