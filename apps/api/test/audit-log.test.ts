// The audit log by itself: what is stored with a transaction, what is stored later, and what is lost and said.

import { AsyncLocalStorage } from 'node:async_hooks'
import { systemClock } from '@holdfast/footing'
import { PoolGuard } from '@holdfast/pool-guard'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { auditRow } from '../src/audit/audit-entry.ts'
import { AuditLog, type AuditLogParts } from '../src/audit/audit-log.ts'
import { AuditQueue } from '../src/audit/audit-queue.ts'
import { auditHealth } from '../src/audit/audit-trail.ts'
import { entryOf } from '../src/audit/security-events.ts'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { deployedFile } from './deployed-pgbouncer.ts'
import { freshDatabase, testGuard, testPool } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const row = (action: string) => auditRow({ actor: 'test', action }, undefined, 0)

async function setUp(t: Test, parts: Partial<AuditLogParts> = {}) {
  const url = await freshDatabase(postgres.directUrl)
  const pool = testGuard(t, url)
  await migrateUp(pool, migrations)
  const warnings: object[] = []
  const log = new AuditLog({
    pool,
    prepare: async () => {},
    correlationId: () => 'a-correlation-id',
    log: { warn: (fields: object) => void warnings.push(fields) } as AuditLogParts['log'],
    clock: systemClock,
    ...parts,
  })
  t.teardown(() => log.close())
  const rows = async () => (await pool.query('select * from audit_log order by id')).rows
  return { url, pool, log, warnings, rows }
}

t.test('an entry of a transaction is there with it, or not at all', async (t) => {
  const { pool, log, rows } = await setUp(t)
  const entry = {
    actor: 'operator token',
    tenant: 'acme',
    action: 'dlq.replay',
    subject: 'job 7',
    reason: 'a test',
  }
  const failed = pool.transaction({}, async (tx) => {
    await log.record(tx, entry)
    throw new Error('the work has failed')
  })
  await t.rejects(failed, { message: 'the work has failed' })
  t.strictSame(await rows(), [])
  await pool.transaction({}, (tx) => log.record(tx, { ...entry, before: { tries: 3 }, after: null }))
  t.match(await rows(), [{ ...entry, before: { tries: 3 }, after: null, correlation_id: 'a-correlation-id' }])
})

t.test('rows are written once: nothing changes them, deletes them, or empties the table', async (t) => {
  const { pool, log, rows } = await setUp(t)
  await pool.transaction({}, (tx) => log.record(tx, { actor: 'a', action: 'b' }))
  for (const statement of [
    "update audit_log set actor = 'x'",
    'delete from audit_log',
    'truncate audit_log',
  ]) {
    await t.rejects(pool.query(statement), { code: '23001' }, statement)
  }
  t.match(await rows(), [{ actor: 'a', action: 'b' }])
})

t.test('the roles of the service cannot change rows either, nor take away what refuses it', async (t) => {
  const url = await freshDatabase(postgres.directUrl)
  const superuser = testPool(url, 1)
  t.teardown(() => superuser.end())
  await superuser.query(deployedFile('roles.sql'))
  const as = (role: string) => Object.assign(new URL(url), { username: role, password: '' }).href
  // As in a deployment: tables are the owner's.
  await migrateUp(testGuard(t, as('holdfast_owner')), migrations)
  for (const role of ['holdfast_web', 'holdfast_worker']) {
    const service = testPool(as(role), 1)
    t.teardown(() => service.end())
    t.match((await service.query('select current_user as role')).rows, [{ role }])
    await service.query(`insert into audit_log (actor, action) values ('${role}', 'a.test')`)
    for (const [statement, code] of [
      ["update audit_log set actor = 'x'", '23001'],
      ["update audit_log set actor = 'x' where id = 1", '23001'],
      ['delete from audit_log', '23001'],
      [
        "insert into audit_log (id, actor, action) overriding system value values (1, 'x', 'x') on conflict (id) do update set actor = 'x'",
        '23001',
      ],
      ['truncate audit_log', '42501'],
      ['alter table audit_log disable trigger all', '42501'],
      ['drop trigger audit_log_append_only on audit_log', '42501'],
      ['drop table audit_log', '42501'],
      [
        'create or replace function append_only() returns trigger language plpgsql as $$ begin return new; end $$',
        '42501',
      ],
      ['set session_replication_role = replica', '42501'],
    ]) {
      await t.rejects(service.query(statement ?? ''), { code }, `${role}: ${statement}`)
    }
  }
  const owner = testPool(as('holdfast_owner'), 1)
  t.teardown(() => owner.end())
  for (const statement of [
    "update audit_log set actor = 'x'",
    'delete from audit_log',
    'truncate audit_log',
  ]) {
    await t.rejects(owner.query(statement), { code: '23001' }, `the owner: ${statement}`)
  }
  const actors = async () => (await superuser.query('select actor from audit_log order by id')).rows
  t.match(await actors(), [{ actor: 'holdfast_web' }, { actor: 'holdfast_worker' }])
  // What is too old goes by whoever may alter the table, and by nobody else.
  await owner.query(`begin; alter table audit_log disable trigger user;
    delete from audit_log where actor = 'holdfast_web'; alter table audit_log enable trigger user; commit`)
  t.match(await actors(), [{ actor: 'holdfast_worker' }])
  await t.rejects(superuser.query('delete from audit_log'), { code: '23001' })
})

t.test('what is recorded soon is written in batches, in its order', async (t) => {
  const batches: number[] = []
  const { pool, log, rows } = await setUp(t, { onEnd: (_outcome, entries) => void batches.push(entries) })
  for (let at = 0; at < 450; at += 1) log.recordSoon({ actor: 'service', action: `event.${at}` })
  await waitUntil(async () => log.snapshot().stored === 450)
  t.strictSame(batches, [200, 200, 50])
  t.strictSame(
    (await rows()).map(({ action }) => action),
    Array.from({ length: 450 }, (_, at) => `event.${at}`),
  )
  t.equal((await pool.query('select from audit_log where correlation_id is null')).rowCount, 0)
})

t.test('whatever an entry is made of, the table takes it', async (t) => {
  const { log, rows } = await setUp(t)
  log.recordSoon({
    actor: '',
    tenant: 'x'.repeat(5000),
    action: '9 Très "étrange"\0'.repeat(40),
    subject: `password=hunter22 \0\uD800${'y'.repeat(5000)}`,
    before: { secret: 'hunter22', huge: 'z'.repeat(100_000) },
    after: Array.from({ length: 100 }, () => 'ü'.repeat(400)),
    reason: 'postgres://app:hunter22@db/x',
  })
  await waitUntil(() => log.snapshot().stored === 1)
  const [stored] = await rows()
  t.match(stored, {
    actor: 'unknown',
    action: /^x9-tr-s---trange/,
    after: { too_large: true, bytes: Number },
  })
  t.notMatch(JSON.stringify(stored), 'hunter22')
})

t.test('while the database is away entries wait, and are written when it is back', async (t) => {
  const own = await startPostgres()
  t.teardown(() => own.stop())
  const pool = new PoolGuard({
    connectionString: own.url,
    max: 2,
    min: 0,
    breaker: false,
    connectTimeoutMs: 500,
  })
  t.teardown(() => pool.close())
  await migrateUp(pool, migrations)
  const { log } = await setUp(t, { pool })
  own.kill9()
  for (let at = 0; at < 10; at += 1) log.recordSoon({ actor: 'service', action: 'while.away' })
  await waitUntil(() => log.snapshot().failing)
  t.match(log.snapshot(), { queued: 10, stored: 0, lost: 0 })
  await own.restart()
  await waitUntil(() => log.snapshot().stored === 10, { timeoutMs: 30_000 })
  const sql = testPool(own.directUrl, 1)
  t.teardown(() => sql.end())
  t.equal((await sql.query(`select from audit_log where action = 'while.away'`)).rowCount, 10)
  t.equal(log.snapshot().failing, false)
})

t.test(
  'what finds no room is lost, counted and told; operators have room when others have none',
  async (t) => {
    // Ahead of the clock of the pool, by which what is too late is refused.
    const clock = new HandClock({ nowMs: 1e9 })
    const outcomes: [string, number][] = []
    const { log, warnings } = await setUp(t, {
      clock,
      maxQueued: 10,
      onEnd: (outcome, entries) => void outcomes.push([outcome, entries]),
    })
    for (let at = 0; at < 50; at += 1) log.recordSoon({ actor: 'anonymous', action: 'sign-in.refused' })
    t.match(log.snapshot(), { queued: 9, lost: 41 })
    log.recordSoon({ actor: 'operator token', action: 'limits.replace' }, 'action')
    t.match(log.snapshot(), { queued: 10, lost: 41 }, 'the last tenth is for them')
    log.recordSoon({ actor: 'operator token', action: 'limits.reset' }, 'action')
    t.match(log.snapshot(), { queued: 10, lost: 42 })
    t.strictSame(warnings, [])
    await clock.advance(1000)
    t.match(warnings, [{ lost: 42, lost_in_all: 42 }])
    t.strictSame(outcomes.filter(([outcome]) => outcome === 'lost').length, 42)
    await waitUntil(() => log.snapshot().stored === 10)
  },
)

t.test(
  'the end of the process writes what waits; where that cannot be done it says how much is lost',
  async (t) => {
    const { log, rows } = await setUp(t)
    log.recordSoon({ actor: 'service', action: 'last.words' })
    await log.close()
    t.match(await rows(), [{ action: 'last.words' }])
    log.recordSoon({ actor: 'service', action: 'too.late' })
    t.match(log.snapshot(), { lost: 1, queued: 0 })

    const nowhere = new PoolGuard({ connectionString: 'postgres://nobody@127.0.0.1:1/x', max: 1, min: 0 })
    t.teardown(() => nowhere.close())
    const away = await setUp(t, { pool: nowhere })
    for (let at = 0; at < 7; at += 1) away.log.recordSoon({ actor: 'service', action: 'lost.words' })
    await away.log.close()
    t.match(away.warnings, [{ lost: 7 }])

    // One that never says whether it is there keeps nobody from ending.
    const silent = await setUp(t, { prepare: () => new Promise(() => {}) })
    silent.log.recordSoon({ actor: 'service', action: 'lost.words' })
    await silent.log.close()
    t.match(silent.warnings, [{ lost: 1 }])
  },
)

t.test('an entry that the database does not take costs that entry alone', async (t) => {
  const { pool, log, rows, warnings } = await setUp(t)
  await pool.query(`alter table audit_log add check (action <> 'unwanted')`)
  for (const action of ['one', 'unwanted', 'two']) log.recordSoon({ actor: 'service', action })
  await waitUntil(() => log.snapshot().stored === 2)
  t.match(await rows(), [{ action: 'one' }, { action: 'two' }])
  t.equal(log.snapshot().lost, 1)
  await waitUntil(() => warnings.length === 2)
  t.match(warnings, [{ reason: /check constraint/ }, { lost: 1 }])
})

t.test('while a batch is being written events leave the last tenth to operators all the same', async (t) => {
  const { url, log, rows } = await setUp(t, { maxQueued: 10 })
  const sql = testPool(url, 2)
  t.teardown(() => sql.end())
  const holder = await sql.connect()
  const writing = async () =>
    (
      await sql.query(
        `select pid from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like 'insert into audit_log%'`,
      )
    ).rows
  try {
    await holder.query('begin')
    await holder.query('lock table audit_log in exclusive mode')
    for (let at = 0; at < 9; at += 1) log.recordSoon({ actor: 'anonymous', action: 'first' })
    await waitUntil(async () => (await writing()).length === 1)
    for (let at = 0; at < 5; at += 1) log.recordSoon({ actor: 'anonymous', action: 'second' })
    t.match(log.snapshot(), { queued: 9, lost: 5 })
    log.recordSoon({ actor: 'operator token', action: 'limits.reset' }, 'action')
    // The batch comes to nothing, and has to be written again.
    for (const { pid } of await writing()) await sql.query('select pg_terminate_backend($1)', [pid])
    await waitUntil(() => log.snapshot().failing)
    t.match(log.snapshot(), { queued: 10, stored: 0, lost: 5 })
  } finally {
    await holder.query('rollback')
    holder.release()
  }
  await waitUntil(() => log.snapshot().stored === 10)
  const actions = (await rows()).map(({ action }) => action)
  t.strictSame(actions, [...Array.from({ length: 9 }, () => 'first'), 'limits.reset'])
})

t.test('a batch is written for nobody in particular', async (t) => {
  const scope = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const { pool, log } = await setUp(t)
  const watched = new AuditLog({
    pool: {
      query: (...asked: Parameters<PoolGuard['query']>) => {
        seen.push(scope.getStore())
        return pool.query(...asked)
      },
    } as Pick<PoolGuard, 'query'>,
    prepare: async () => {},
    correlationId: () => scope.getStore(),
    log: { warn() {} } as unknown as AuditLogParts['log'],
    clock: systemClock,
  })
  scope.run('the request of somebody', () => watched.recordSoon({ actor: 'a', action: 'b' }))
  await waitUntil(() => watched.snapshot().stored === 1)
  t.strictSame(seen, [undefined])
  t.match((await pool.query('select correlation_id from audit_log')).rows, [
    { correlation_id: 'the request of somebody' },
  ])
  await watched.close()
  await log.close()
})

t.test(
  'the queue gives in the order of its rows, and what it has given keeps its place until it is dropped',
  async (t) => {
    const queue = new AuditQueue(3)
    const oldest = (most: number) => queue.oldest(most).map(({ action }) => action)
    for (const action of ['a', 'b', 'c']) queue.add(row(action), 'action')
    t.strictSame(oldest(2), ['a', 'b'])
    t.equal(queue.add(row('d'), 'action'), false)
    t.equal(queue.drop(1), 1)
    t.equal(queue.add(row('e'), 'event'), false, 'the last place is for actions')
    t.equal(queue.add(row('f'), 'action'), true)
    t.strictSame(oldest(9), ['b', 'c', 'f'])
    t.equal(queue.drop(9), 3)
    t.equal(queue.size, 0)
  },
)

t.test('an event says who, whom and what, and nothing twice', async (t) => {
  const line = {
    event_type: 'SECURITY_EVENT',
    event: 'abuse.blocked',
    correlation_id: 'c',
    request_id: 'r',
    method: 'GET',
    path: '/x',
    address: '192.0.2.7',
    reason: 'too much',
    for_ms: 9,
  }
  t.strictSame(entryOf({ event: 'abuse.blocked', line }), {
    actor: 'anonymous',
    tenant: undefined,
    action: 'abuse.blocked',
    subject: '192.0.2.7',
    after: { address: '192.0.2.7', for_ms: 9 },
    reason: 'too much',
  })
  t.match(entryOf({ event: 'e', line: { user_id: '7', tenant: 'acme' } }), {
    actor: '7',
    tenant: 'acme',
    after: undefined,
  })
  t.match(entryOf({ event: 'e', line: { holder: 'user:7' } }), { actor: 'service', subject: 'user:7' })
})

t.test('health is degraded while entries are being lost, and only then', async (t) => {
  const snapshot = { queued: 3, stored: 90, lost: 12, failing: true }
  t.match(auditHealth(snapshot, 12, null), { status: 'healthy', data: { last_hour: null, lost: 12 } })
  t.match(auditHealth(snapshot, 2, 90), {
    status: 'degraded',
    reason: '10 entries were lost since the last look',
  })
})
