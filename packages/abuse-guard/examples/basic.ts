import { abuseGuard } from '@holdfast/abuse-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(abuseGuard, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.abuseGuard.pass()
  return { remaining: app.abuseGuard.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
