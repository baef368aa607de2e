import { type PostgresServer, startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import { Kysely, sql } from 'kysely'
import t, { type Test } from 'tap'
import { guardedDialect } from '../src/dialect.ts'
import { PoolGuard, type PoolGuardOptions, runInScope } from '../src/index.ts'

interface Database {
  things: { id: number; name: string }
}

let postgres: PostgresServer

t.before(async () => {
  postgres = await startPostgres()
})
t.teardown(() => postgres.stop())

/** A busy machine may take its time to end a cancelled statement. */
const patient = { cancelTimeoutMs: 10_000, connectTimeoutMs: 20_000 }

async function database(t: Test, options: PoolGuardOptions = {}) {
  const guard = new PoolGuard({
    connectionString: postgres.url,
    max: 3,
    min: 0,
    breaker: false,
    ...patient,
    ...options,
  })
  const db = new Kysely<Database>({ dialect: guardedDialect(guard) })
  t.teardown(async () => {
    await db.destroy()
    await guard.close({ graceMs: 0 })
  })
  await sql`drop table if exists things`.execute(db)
  await sql`create table things (id int primary key, name text not null)`.execute(db)
  return { guard, db }
}

t.test('reads and writes, and counts what was changed', async (t) => {
  const { db } = await database(t)
  await db
    .insertInto('things')
    .values([
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
    ])
    .execute()
  const changed = await db.updateTable('things').set({ name: 'c' }).where('id', '=', 2).executeTakeFirst()
  t.equal(changed.numUpdatedRows, 1n)
  t.strictSame(await db.selectFrom('things').selectAll().orderBy('id').execute(), [
    { id: 1, name: 'a' },
    { id: 2, name: 'c' },
  ])
  t.match(await db.introspection.getTables(), [{ name: 'things' }])
})

t.test('an error of a statement tells its state and who sent it', async (t) => {
  const { db } = await database(t)
  await db.insertInto('things').values({ id: 1, name: 'a' }).execute()
  const error = await db
    .insertInto('things')
    .values({ id: 1, name: 'b' })
    .execute()
    .catch((error: Error) => error)
  t.match(error, { code: '23505', stack: /dialect\.test\.ts/ })
})

t.test('transactions begin with the guardrails', async (t) => {
  const { db } = await database(t, {
    guardrails: { statementTimeoutMs: 1500, lockTimeoutMs: 400, idleInTransactionTimeoutMs: 2500 },
  })
  const limits = sql<{ statement: string; lock: string; idle: string; readonly: string }>`
    select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
      current_setting('idle_in_transaction_session_timeout') as idle,
      current_setting('transaction_read_only') as readonly`
  const { rows } = await db
    .transaction()
    .setAccessMode('read only')
    .setIsolationLevel('repeatable read')
    .execute((trx) => limits.execute(trx))
  t.strictSame(rows, [{ statement: '1500ms', lock: '400ms', idle: '2500ms', readonly: 'on' }])
  t.match((await limits.execute(db)).rows, [{ statement: '0', readonly: 'off' }])
})

t.test('a COMMIT that was a ROLLBACK is an error, and a failing one hides no other', async (t) => {
  const { db, guard } = await database(t)
  await t.rejects(
    db.transaction().execute(async (trx) => {
      await trx.insertInto('things').values({ id: 1, name: 'a' }).execute()
      await trx
        .insertInto('things')
        .values({ id: 1, name: 'a' })
        .execute()
        .catch(() => {})
    }),
    { code: 'HOLDFAST_ERR_POOL_GUARD_TX_ROLLED_BACK' },
  )
  const mine = new Error('mine')
  const thrown = await db
    .transaction()
    .execute(async (trx) => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx)
      await guard.query('select pg_terminate_backend($1)', [rows[0]?.pid])
      await waitUntil(() => guard.snapshot().totals.lost === 1)
      throw mine
    })
    .catch((error) => error)
  t.equal(thrown, mine, 'the ROLLBACK fails, and is not what the caller hears')
  t.strictSame(await db.selectFrom('things').selectAll().execute(), [])
})

t.test('savepoints of a controlled transaction', async (t) => {
  const { db } = await database(t)
  const trx = await db.startTransaction().execute()
  await trx.insertInto('things').values({ id: 1, name: 'a' }).execute()
  const inner = await trx.savepoint('in"ner').execute()
  await inner.insertInto('things').values({ id: 2, name: 'b' }).execute()
  await inner.rollbackToSavepoint('in"ner').execute()
  await inner.releaseSavepoint('in"ner').execute()
  await trx.commit().execute()
  t.strictSame(await db.selectFrom('things').select('id').execute(), [{ id: 1 }])
})

t.test(
  'a query whose signal aborts is cancelled on the server, and says nothing on the console',
  async (t) => {
    const { db, guard } = await database(t)
    const written = t.capture(console, 'error')
    for (const inflightQueryAbortStrategy of ['ignore query', 'cancel query', 'kill session'] as const) {
      const controller = new AbortController()
      const running = sql`select pg_sleep(20)`.execute(db, {
        signal: controller.signal,
        inflightQueryAbortStrategy,
      })
      await waitUntil(async () => {
        const { rows } = await guard.query(
          "select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(20)'",
        )
        return rows.length === 1
      })
      controller.abort(new Error('enough'))
      await t.rejects(running, { message: 'enough' }, inflightQueryAbortStrategy)
      await waitUntil(() => guard.snapshot().connections.inUse === 0, { what: inflightQueryAbortStrategy })
    }
    t.equal(guard.snapshot().totals.cancelled, 3)
    t.strictSame(written(), [])
  },
)

t.test('the scope of the request holds for every query in it', async (t) => {
  const { db } = await database(t)
  const controller = new AbortController()
  const running = runInScope({ signal: controller.signal }, () => sql`select pg_sleep(20)`.execute(db))
  setTimeout(() => controller.abort(), 30)
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  const both = new AbortController()
  const inner = runInScope({ signal: controller.signal }, () =>
    sql`select 1`.execute(db, { signal: both.signal }),
  )
  await t.rejects(inner, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
})

t.test('streams a SELECT by a cursor, alone and in a transaction, also through PgBouncer', async (t) => {
  const pgbouncer = await startPgBouncer({ target: postgres })
  t.teardown(() => pgbouncer.stop())
  for (const connectionString of [postgres.url, pgbouncer.url]) {
    const { db, guard } = await database(t, { connectionString })
    const values = Array.from({ length: 25 }, (_, id) => ({ id, name: `n${id}` }))
    await db.insertInto('things').values(values).execute()
    const query = (from: Kysely<Database>) =>
      from.selectFrom('things').selectAll().where('id', '>=', 5).orderBy('id')
    const seen: number[] = []
    for await (const { id } of query(db).stream(10)) seen.push(id)
    t.strictSame(
      seen,
      values.slice(5).map(({ id }) => id),
    )
    await db.transaction().execute(async (trx) => {
      for await (const { id } of query(trx).stream(4)) if (id > 8) break
      t.equal((await query(trx).execute()).length, 20, 'the transaction goes on')
    })
    for await (const { id } of query(db).stream(4)) if (id > 8) break
    const controller = new AbortController()
    await t.rejects(async () => {
      for await (const _ of query(db).stream({ chunkSize: 4, signal: controller.signal })) controller.abort()
    })
    await t.rejects(
      async () => {
        for await (const _ of db.insertInto('things').values({ id: 99, name: 'z' }).returningAll().stream());
      },
      { code: 'HOLDFAST_ERR_POOL_GUARD_STREAM' },
    )
    await waitUntil(() => guard.snapshot().connections.inUse === 0)
    t.equal(guard.snapshot().totals.dirtyReleases, 0)
  }
})
