import { redisGuard } from '@holdfast/redis-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(redisGuard, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.redisGuard.pass()
  return { remaining: app.redisGuard.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
