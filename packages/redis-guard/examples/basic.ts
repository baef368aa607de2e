import { redisGuard } from '@holdfast/redis-guard'
import { startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'

const server = await startRedis()
const app = Fastify()
await app.register(redisGuard, { url: server.url, budgetMs: 500, startupWaitMs: 5000 })

const countVisit = {
  name: 'count-visit',
  lua: `return redis.call('INCRBY', KEYS[1], ARGV[1])`,
  keys: 1,
  // Visits of one turn of the event loop travel as one command.
  batch: true,
  decode: Number,
}
const key = app.redisGuard.key('visits', 'acme', '/prices')
const counts = await Promise.all([1, 1, 1].map((visit) => app.redisGuard.run(countVisit, [key], [visit])))
console.log('visits', counts, 'in', app.redisGuard.snapshot().batches, 'batch')

server.freeze()
for (const attempt of ['first', 'second']) {
  try {
    await app.redisGuard.run(countVisit, [key], [1])
  } catch (error) {
    console.log(attempt, (error as { code: string }).code)
  }
}
server.thaw()
console.log('usable again', await app.redisGuard.ready(5000))
await app.close()
await server.stop()
