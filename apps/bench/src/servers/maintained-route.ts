/**
 * A small asynchronous route: `bare`, or with maintenance while nothing is closed (`ours`), while something else is
 * (`elsewhere`), and while the route itself is (`closed`).
 */
import { maintenance } from '@holdfast/maintenance'
import fastify from 'fastify'
import { listen } from './listen.ts'

const app = fastify()
const [kind] = process.argv.slice(2)
if (kind !== 'bare') {
  await app.register(maintenance, {
    groups: { bots: ['/api/bot'], quotes: ['/quote'] },
    tenant: () => 'acme',
    roles: () => [],
  })
}
app.get('/ready', { config: { maintenance: false } }, async () => 'ready')
app.get('/quote', async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' }))
if (kind === 'elsewhere') {
  await app.maintenance.set({ scope: { group: 'bots' }, mode: 'read-only' })
  await app.maintenance.set({ scope: { tenant: 'globex' } })
}
if (kind === 'closed') await app.maintenance.set({ scope: { group: 'quotes' } })
await listen(app)
