import { circuitBreaker } from '@holdfast/circuit-breaker'
import Fastify from 'fastify'

const app = Fastify()
await app.register(circuitBreaker, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.circuitBreaker.pass()
  return { remaining: app.circuitBreaker.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
