import { redisGuard } from '@holdfast/redis-guard'
import { startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'

const server = await startRedis()
const app = Fastify()
await app.register(redisGuard, { url: server.url, budgetMs: 1000 })

// In every process of the service; one of them sweeps.
const sweep = () =>
  app.redisGuard.lease.run('sweeper', { leaseMs: 5000 }, async ({ fence, signal }) => {
    for (let page = 1; page <= 3 && !signal.aborted; page += 1) {
      // update ... set fence = $fence where id = $id and fence < $fence
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return Number.isSafeInteger(fence) ? 'swept' : 'no fence'
  })

for (const result of await Promise.all([sweep(), sweep()])) {
  console.log(result.held ? result.value : 'somebody else sweeps')
}
await app.close()
await server.stop()
