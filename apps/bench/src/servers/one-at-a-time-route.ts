/**
 * A small asynchronous route, one request at a time for each client, and every request of another client: `bare`, or with
 * concurrency-guard, for itself (`ours`) or with its leases in Redis (`ours-redis`).
 */
import { concurrencyGuard } from '@holdfast/concurrency-guard'
import { GuardedRedis } from '@holdfast/redis-guard'
import fastify from 'fastify'
import { redisUrl } from '../config.ts'
import { listen } from './listen.ts'

let requests = 0
const key = () => {
  requests += 1
  return ['bot', `client-${requests}`] as const
}

const app = fastify()
const handler = async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' })
const [kind] = process.argv.slice(2)
if (kind === 'bare') {
  app.get('/quote', handler)
} else {
  const redis = kind === 'ours-redis' ? new GuardedRedis({ url: redisUrl() ?? '' }) : undefined
  await redis?.ready(10_000)
  await app.register(concurrencyGuard, { redis })
  app.get('/quote', { config: { concurrencyGuard: { key } } }, handler)
}
await listen(app)
