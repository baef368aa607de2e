import { redisSession } from '@holdfast/redis-session'
import Fastify from 'fastify'

const app = Fastify()
await app.register(redisSession, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.redisSession.pass()
  return { remaining: app.redisSession.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
