import { maintenance } from '@holdfast/maintenance'
import Fastify from 'fastify'

const app = Fastify()
await app.register(maintenance, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.maintenance.pass()
  return { remaining: app.maintenance.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
