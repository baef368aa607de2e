/** /healthz of @holdfast/health; with `DATABASE_URL` it also polls that PostgreSQL, as a service would. */
import { health } from '@holdfast/health'
import fastify from 'fastify'
import pg from 'pg'
import { databaseUrl } from '../config.ts'
import { listen } from './listen.ts'

const app = fastify()
await app.register(health, { service: 'bench', version: '1.0.0', authorize: () => false })
const connectionString = databaseUrl()
if (connectionString !== undefined) {
  const pool = new pg.Pool({ connectionString, max: 2, connectionTimeoutMillis: 200 })
  // A pool that loses an idle connection emits an error nobody waits for; the check reports the loss.
  pool.on('error', () => {})
  app.health.addCheck('database', {
    check: async () => {
      await pool.query('select 1')
    },
    intervalMs: 250,
    timeoutMs: 200,
    severity: 'degrading',
  })
}
await listen(app)
