import { redisGuard } from '@holdfast/redis-guard'
import { singleflight } from '@holdfast/singleflight'
import { startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'

const server = await startRedis()
let queries = 0

/** What each process of the service does. */
async function startProcess() {
  const app = Fastify()
  await app.register(redisGuard, { url: server.url, budgetMs: 1000 })
  await app.register(singleflight, { redis: app.redisGuard, fleet: { namespace: 'shop-v1' } })
  return app
}

const processes = await Promise.all([startProcess(), startProcess()])
const prices = ({ fence }: { fence: number | undefined }) => {
  queries += 1
  return new Promise((resolve) => setTimeout(() => resolve({ bid: 1.2, fenced: fence !== undefined }), 50))
}
const answers = await Promise.all(
  processes.flatMap((app) =>
    Array.from({ length: 50 }, () => app.singleflight.run(['prices', 'fx'], prices, { fleet: true })),
  ),
)
console.log(`${answers.length} answers in ${processes.length} processes, ${queries} query:`, answers[99])

await Promise.all(processes.map((app) => app.close()))
await server.stop()
