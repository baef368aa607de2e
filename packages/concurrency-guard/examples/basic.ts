import { concurrencyGuard } from '@holdfast/concurrency-guard'
import Fastify from 'fastify'

const app = Fastify()
await app.register(concurrencyGuard, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.concurrencyGuard.pass()
  return { remaining: app.concurrencyGuard.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
