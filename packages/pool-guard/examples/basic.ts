import { poolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { startPostgres } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Kysely } from 'kysely'

const server = await startPostgres()
const app = Fastify()
await app.register(poolGuard, { connectionString: server.url, max: 20 })

interface Database {
  orders: { id: number; item: string }
}
const db = new Kysely<Database>({ dialect: guardedDialect(app.poolGuard) })
await db.schema
  .createTable('orders')
  .addColumn('id', 'serial', (column) => column.primaryKey())
  .addColumn('item', 'text')
  .execute()

app.post<{ Body: { item: string } }>(
  '/orders',
  { config: { poolGuard: { criticality: 'critical' } } },
  async (request) =>
    app.poolGuard.transaction({ retries: 3 }, async (tx) => {
      const { rows } = await tx.query('insert into orders (item) values ($1) returning id', [
        request.body.item,
      ])
      return rows[0]
    }),
)
app.get(
  '/orders',
  { config: { poolGuard: { fallback: () => [{ id: 0, item: 'from a cache' }] } } },
  async () => db.selectFrom('orders').selectAll().execute(),
)

// Slow statements on every connection that is not reserved for critical work.
const reports = Array.from({ length: 17 }, () => app.poolGuard.query('select pg_sleep(0.5)'))

const write = await app.inject({ method: 'POST', url: '/orders', payload: { item: 'tea' } })
console.log('write', write.statusCode, write.body)
const read = await app.inject('/orders')
console.log('read', read.statusCode, read.body, read.headers.warning)
console.log('in use', app.poolGuard.showPools()[0]?.cl_active, 'saturated', app.poolGuard.saturated)

await Promise.all(reports)
const later = await app.inject('/orders')
console.log('later', later.statusCode, later.body)
await app.close()
await server.stop()
