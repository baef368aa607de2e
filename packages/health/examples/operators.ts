import { setTimeout as sleep } from 'node:timers/promises'
import { health } from '@holdfast/health'
import Fastify from 'fastify'

const app = Fastify()
await app.register(health, {
  authorize: (request) => request.headers.authorization === 'Bearer only-an-example',
  checks: {
    sessions: { check: () => ({ data: { active: 12 } }) },
  },
})
app.health.addReport('security', 'abuse-guard', () => ({ blocked_addresses: 2 }))
await app.ready()
while (app.health.snapshot().status !== 'ok') await sleep(5)

const anonymous = await app.inject('/health/security')
console.log(anonymous.statusCode, anonymous.json().error)

const headers = { authorization: 'Bearer only-an-example' }
const security = await app.inject({ url: '/health/security', headers })
console.log(security.statusCode, JSON.stringify(security.json().reports))
const check = await app.inject({ url: '/health/check', headers })
console.log(JSON.stringify(check.json().checks.sessions.data))
await app.close()
