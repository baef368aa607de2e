import { startPostgres, waitUntil } from '@holdfast/test-kit'
import { sql } from 'kysely'
import t from 'tap'
import { createDatabase, createPool } from '../src/db/pool.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

function pool(lost: Error[] = [], max = 2) {
  return createPool({
    url: postgres.url,
    applicationName: 'holdfast-pool-test',
    max,
    min: 0,
    connectionTimeoutMs: 400,
    statementTimeoutMs: 300,
    idleInTransactionTimeoutMs: 300,
    onConnectionLost: (error) => lost.push(error),
  })
}

t.test('a statement, and a pause inside a transaction, end at their limits', async (t) => {
  const connections = pool()
  t.teardown(() => connections.end())
  await t.rejects(connections.query('select pg_sleep(5)'), { code: '57014' })
  const client = await connections.connect()
  await client.query('begin')
  await waitUntil(async () => {
    const { rowCount } = await postgresQuery(
      `select from pg_stat_activity where state = 'idle in transaction'`,
    )
    return rowCount === 0
  })
  await t.rejects(client.query('select 1'))
  client.release(true)
  t.equal((await connections.query('select 1')).rowCount, 1)
})

t.test('killed back ends, idle and busy, never end the process', async (t) => {
  const lost: Error[] = []
  const connections = pool(lost)
  t.teardown(() => connections.end())
  const busy = await connections.connect()
  await connections.query('select 1')
  await postgresQuery(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast-pool-test'`,
  )
  await waitUntil(() => lost.length === 1)
  await t.rejects(busy.query('select 1'))
  busy.release(true)
  t.equal((await connections.query('select 1')).rowCount, 1)
})

t.test(
  'a server that stops answering costs the time-out, and its connections are not used again',
  async (t) => {
    const connections = pool([], 1)
    const db = createDatabase(async () => connections)
    const one = () => sql`select 1 as one`.execute(db)
    await one()
    postgres.blackhole()
    await t.rejects(one(), { message: 'Query read timeout' })
    t.equal(connections.totalCount, 0, 'the silent connection is gone')
    await t.rejects(one(), { message: /timeout/ }, 'a new one is not waited for either')
    await postgres.heal()
    t.match(await one(), { rows: [{ one: 1 }] })
    await connections.end()
  },
)

t.test('streaming, which would escape the time-outs, is refused', async (t) => {
  const connections = pool()
  const db = createDatabase(async () => connections)
  await t.rejects(async () => {
    for await (const _ of db.selectFrom('tenants').selectAll().stream()) break
  })
  await connections.end()
})

async function postgresQuery(text: string) {
  const connections = createPool({
    url: postgres.directUrl,
    applicationName: 'holdfast-observer',
    max: 1,
    min: 0,
    connectionTimeoutMs: 2000,
    statementTimeoutMs: 2000,
    idleInTransactionTimeoutMs: 2000,
    onConnectionLost: () => {},
  })
  try {
    return await connections.query(text)
  } finally {
    await connections.end()
  }
}
