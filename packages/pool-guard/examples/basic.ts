import { poolGuard } from '@holdfast/pool-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(poolGuard, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.poolGuard.pass()
  return { remaining: app.poolGuard.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
