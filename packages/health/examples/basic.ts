import { setTimeout as sleep } from 'node:timers/promises'
import { health } from '@holdfast/health'
import Fastify from 'fastify'

const app = Fastify()
await app.register(health, { service: 'shop', version: '1.2.3' }) // first, and awaited

let databaseIsUp = true
app.health.addCheck('database', {
  check: async ({ signal }) => {
    signal.throwIfAborted() // give the signal to your driver
    if (!databaseIsUp) throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  },
  intervalMs: 100,
  timeoutMs: 1_000,
  severity: 'degrading', // critical would answer 503
})
await app.ready() // or app.listen(): from here on the checks run in the background

while (app.health.snapshot().status !== 'ok') await sleep(5)
const before = await app.inject('/readyz')
console.log(before.statusCode, before.json().status)

databaseIsUp = false
while (app.health.snapshot().status === 'ok') await sleep(5)
const after = await app.inject('/readyz')
console.log(after.statusCode, after.json().status, after.json().checks.database.status)
await app.close()
