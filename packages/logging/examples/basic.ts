import { logging } from '@holdfast/logging'
import Fastify from 'fastify'

const app = Fastify()
await app.register(logging, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.logging.pass()
  return { remaining: app.logging.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
