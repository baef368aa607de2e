import rateLimit from '@fastify/rate-limit'
import { fastifyRateLimitStore, tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify from 'fastify'

const app = Fastify()
// With `redis: app.redisGuard` all processes share the buckets.
await app.register(tenantRateLimit, { policies: {} })
await app.register(rateLimit, {
  max: 2,
  timeWindow: '1 minute',
  store: fastifyRateLimitStore({ limiter: app.tenantRateLimit.limiter }),
})
app.get('/', async () => 'welcome')

for (let time = 0; time < 3; time += 1) {
  const { statusCode, headers } = await app.inject('/')
  console.log(statusCode, 'left', headers['x-ratelimit-remaining'], 'retry after', headers['retry-after'])
}
await app.close()
