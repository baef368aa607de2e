import { errorPages } from '@holdfast/error-pages'
import Fastify from 'fastify'

const app = Fastify()
await app.register(errorPages, { maxPerWindow: 2, windowMs: 60_000 })
app.get('/', async () => {
  app.errorPages.pass()
  return { remaining: app.errorPages.snapshot().remaining }
})

for (const attempt of [1, 2, 3]) {
  const answer = await app.inject('/')
  console.log(attempt, answer.statusCode)
}
await app.close()
