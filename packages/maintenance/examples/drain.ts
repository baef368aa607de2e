import { maintenance } from '@holdfast/maintenance'
import Fastify from 'fastify'

const app = Fastify()
// In an application with several processes: `redis: app.redisGuard`.
await app.register(maintenance, { syncMs: 20 })
let finish = () => {}
const slow = new Promise<void>((resolve) => {
  finish = resolve
})
app.post('/orders', async () => {
  await slow
  return { placed: true }
})
await app.ready()

const order = app.inject({ method: 'POST', url: '/orders' })
const settling = app.maintenance.write({ group: 'settlement' }, () => slow)
await new Promise((resolve) => setTimeout(resolve, 100))
await app.maintenance.set({ id: 'upgrade', mode: 'drain-writes' })
console.log((await app.inject({ method: 'POST', url: '/orders' })).statusCode)
const before = await app.maintenance.quiescence('upgrade')
console.log(before.quiescent, before.inFlight)

finish()
await Promise.all([order, settling])
const after = await app.maintenance.quiescence('upgrade')
console.log(after.quiescent, after.inFlight)
await app.close()
