import { metrics } from '@holdfast/metrics'
import Fastify from 'fastify'

const app = Fastify()
await app.register(metrics, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.metrics.pass()
  return { remaining: app.metrics.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
