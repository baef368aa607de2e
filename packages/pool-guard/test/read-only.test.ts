import { startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Kysely } from 'kysely'
import t, { type Test } from 'tap'
import { guardedDialect } from '../src/dialect.ts'
import { PoolGuard, poolGuard, runInScope } from '../src/index.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const READ_ONLY = { code: '25006' }

async function guardOf(t: Test, connectionString = postgres.url): Promise<PoolGuard> {
  const guard = new PoolGuard({ connectionString, max: 2, min: 0 })
  t.teardown(() => guard.close())
  await guard.query('drop table if exists things; create table things (id int primary key)')
  return guard
}

async function count(guard: PoolGuard): Promise<number> {
  return (await guard.query('select from things')).rowCount ?? 0
}

t.test('whatever is written in a scope that may only read is refused by the server', async (t) => {
  const guard = await guardOf(t)
  await runInScope({ readOnly: true }, async () => {
    t.equal(await count(guard), 0, 'it may read')
    await t.rejects(guard.query('insert into things values (1)'), READ_ONLY)
    await t.rejects(guard.query('insert into things values ($1)', [1]), READ_ONLY)
    await t.rejects(
      guard.query('insert into things values (1)', [], { readOnly: false }),
      READ_ONLY,
      'nobody takes back what the scope says',
    )
    await t.rejects(
      guard.transaction({}, async (tx) => {
        await tx.query('select 1')
        await tx.query('delete from things')
      }),
      READ_ONLY,
    )
    t.equal(await guard.transaction({}, async (tx) => (await tx.query('select 7 as n')).rows[0]?.['n']), 7)
  })
  await guard.query('insert into things values (2)')
  t.equal(await count(guard), 1, 'outside of it everything is as before')
  await t.rejects(
    guard.query('insert into things values (3)', [], { readOnly: true }),
    READ_ONLY,
    'one call alone',
  )
})

t.test('a client of such a scope may begin by itself, and still writes nothing', async (t) => {
  const guard = await guardOf(t)
  const client = await guard.acquire({ readOnly: true })
  t.ok(client.processId > 0)
  for (const text of ['begin', '  START TRANSACTION', 'begin; insert into things values (1); commit']) {
    const began = await client.query(text).catch((error: { code?: string }) => error.code)
    if (began === '25006') continue
    t.equal(client.transactionStatus, 'T', text)
    await t.rejects(client.query('insert into things values (1)'), READ_ONLY, text)
    await client.rollback()
  }
  await client.begin({ isolation: 'repeatable read' })
  await t.rejects(client.query('insert into things values (1)'), READ_ONLY)
  await client.rollback()
  await client.begin()
  await client.query('select 1')
  await client.commit()
  t.equal(client.transactionStatus, 'I')
  client.release()
  t.equal(await count(guard), 0)
})

t.test('statements that are not waited for run one after the other', async (t) => {
  const guard = await guardOf(t)
  const client = await guard.acquire({ readOnly: true })
  const answers = await Promise.allSettled([
    client.query('select 1 as n'),
    client.query('insert into things values (1)'),
    client.query('select nothing'),
    client.query('select 4 as n'),
  ])
  t.same(
    answers.map((answer) =>
      answer.status === 'fulfilled' ? answer.value.rows[0]?.['n'] : answer.reason.code,
    ),
    [1, '25006', '42703', 4],
  )
  client.release()
  t.equal(guard.snapshot().inUse, 0)
})

t.test('a client that is cancelled or destroyed is so', async (t) => {
  const guard = await guardOf(t)
  const client = await guard.acquire({ readOnly: true })
  const sleeping = client.query('select pg_sleep(60)')
  setImmediate(() => setTimeout(() => client.cancel(new Error('enough')), 50))
  await t.rejects(sleeping)
  client.destroy()
  await waitUntil(() => guard.snapshot().inUse === 0, { what: 'the place of the client' })
})

t.test('Kysely writes nothing either', async (t) => {
  const guard = await guardOf(t)
  const db = new Kysely<{ things: { id: number } }>({ dialect: guardedDialect(guard) })
  await runInScope({ readOnly: true }, async () => {
    t.same(await db.selectFrom('things').selectAll().execute(), [])
    await t.rejects(db.insertInto('things').values({ id: 1 }).execute(), READ_ONLY)
    await t.rejects(
      db.transaction().execute((tx) => tx.insertInto('things').values({ id: 1 }).execute()),
      READ_ONLY,
    )
  })
  t.equal(await count(guard), 0)
})

t.test('behind PgBouncer it is the same, and the next one may write', async (t) => {
  const pgbouncer = await startPgBouncer({
    target: postgres,
    settings: { pool_mode: 'transaction', default_pool_size: '1' },
  })
  t.teardown(() => pgbouncer.stop())
  const guard = await guardOf(t, pgbouncer.url)
  await t.rejects(guard.query('insert into things values (1)', [], { readOnly: true }), READ_ONLY)
  await guard.query('insert into things values (2)')
  t.equal(await count(guard), 1)
})

t.test('a route asks whether its request may write, whenever it needs a connection', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  let readOnly = false
  await app.register(poolGuard, { connectionString: postgres.url, max: 2, min: 0, readOnly: () => readOnly })
  await app.poolGuard.query('drop table if exists things; create table things (id int primary key)')
  app.get('/', { config: { poolGuard: {} } }, async () => {
    await app.poolGuard.query('insert into things values (1) on conflict do nothing')
    return 'written'
  })
  t.equal((await app.inject('/')).body, 'written')
  readOnly = true
  t.match((await app.inject('/')).json(), { code: '25006' })
  const wrong = Fastify()
  await t.rejects(
    async () =>
      wrong.register(poolGuard, { connectionString: postgres.url, readOnly: (async () => true) as never }),
    { code: 'HOLDFAST_ERR_POOL_GUARD_OPTION' },
  )
})
