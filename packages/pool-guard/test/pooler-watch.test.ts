import { startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import { Client } from 'pg'
import t from 'tap'
import { PoolGuard } from '../src/index.ts'
import { guardsOn, sleeps } from './guard-on-postgres.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const pooler = await startPgBouncer({ target: postgres, settings: { default_pool_size: '2' } })
t.teardown(() => pooler.stop())
const consoleUrl = pooler.url.replace(/\/postgres$/, '/pgbouncer')

const guardOf = guardsOn(pooler)

t.test('showPools() has the columns of SHOW POOLS, in their order', async (t) => {
  const client = new Client({ connectionString: consoleUrl })
  await client.connect()
  const { fields } = await client.query('show pools')
  await client.end()
  const { guard } = guardOf(t, { connectionString: pooler.url })
  const work = sleeps(guard, 0.05, 3)
  const [row] = guard.showPools()
  t.match(row, {
    database: 'postgres',
    user: 'postgres',
    cl_active: 3,
    cl_waiting: 0,
    sv_login: 3,
    maxwait: 0,
  })
  const columns = new Set(fields.map(({ name }) => name))
  t.same(
    Object.keys(row ?? {}),
    fields.map(({ name }) => name),
    [...columns].join(),
  )
  await Promise.all(work)
})

t.test('what other processes do to the pooler is pressure here, too', async (t) => {
  const { guard } = guardOf(t, {
    connectionString: pooler.url,
    pooler: { connectionString: consoleUrl, intervalMs: 50, timeoutMs: 5000, saturatedWaiting: 3 },
    pressure: { sustainMs: 50, clearMs: 100 },
  })
  await waitUntil(() => guard.snapshot().pooler?.ageMs !== undefined)
  t.match(guard.snapshot().pooler, { waiting: 0, saturated: false, failures: 0 })
  const other = new PoolGuard({
    connectionString: pooler.url,
    name: 'another process',
    statementTimeoutMs: 60_000,
    breaker: false,
  })
  t.teardown(() => other.close())
  // Two of these have a server and wait for this lock; the others wait in PgBouncer.
  const lock = new Client({ connectionString: postgres.directUrl })
  await lock.connect()
  t.teardown(() => lock.end())
  await lock.query('select pg_advisory_lock(7)')
  const work = Array.from({ length: 8 }, () => other.query('select pg_advisory_xact_lock(7)'))
  await waitUntil(() => guard.saturated)
  t.equal(guard.snapshot().inUse, 0, 'nothing of it is ours')
  t.ok((guard.snapshot().pooler?.waiting ?? 0) >= 3)
  await waitUntil(() => guard.pressure.state === 'pressed')
  await lock.query('select pg_advisory_unlock(7)')
  await Promise.all(work)
  await waitUntil(() => guard.pressure.state === 'normal')
})

t.test('a console that does not answer is told once, and presses nobody', async (t) => {
  const { guard, log } = guardOf(t, {
    connectionString: postgres.url,
    pooler: { connectionString: consoleUrl, intervalMs: 20, timeoutMs: 1500, database: 'postgres' },
  })
  await waitUntil(() => guard.snapshot().pooler?.ageMs !== undefined)
  pooler.blackhole()
  await waitUntil(() => (guard.snapshot().pooler?.failures ?? 0) >= 2)
  t.notOk(guard.saturated)
  t.same(log, ['PgBouncer does not answer SHOW POOLS; its pressure is not known'])
  await pooler.heal()
  await waitUntil(() => guard.snapshot().pooler?.failures === 0)
  t.equal(log.at(-1), 'PgBouncer answers SHOW POOLS again')
})
