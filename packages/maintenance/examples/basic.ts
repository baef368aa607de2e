import { maintenance } from '@holdfast/maintenance'
import Fastify from 'fastify'

const app = Fastify()
await app.register(maintenance, { groups: { bots: ['/api/bot'] }, open: ['/login'] })
app.get('/api/bot/status', async (request) => ({ readOnly: request.maintenance.readOnly }))
app.post('/api/bot/start', async () => ({ started: true }))

await app.maintenance.set({
  scope: { group: 'bots' },
  mode: 'read-only',
  message: 'We move to a larger database until noon.',
})
const started = await app.inject({ method: 'POST', url: '/api/bot/start' })
console.log(started.statusCode, started.json().detail)
console.log((await app.inject('/api/bot/status')).body)
console.log((await app.inject('/api/status')).body)

await app.maintenance.clear()
console.log((await app.inject({ method: 'POST', url: '/api/bot/start' })).body)
await app.close()
