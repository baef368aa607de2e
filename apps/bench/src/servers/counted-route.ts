/**
 * A small asynchronous route behind a proxy that a thousand clients use in turn: `bare`, or with abuse-guard on every
 * request, for itself (`ours`) or with its blocks in Redis (`ours-redis`).
 */
import { createServer } from 'node:http'
import { abuseGuard, trustedProxies } from '@holdfast/abuse-guard'
import { GuardedRedis } from '@holdfast/redis-guard'
import fastify from 'fastify'
import { redisUrl } from '../config.ts'
import { listen } from './listen.ts'

const addresses = Array.from({ length: 1000 }, (_, at) => `203.0.${at >> 8}.${at & 255}`)
let requests = 0

const app = fastify({
  // The same for every variant: a list of Fastify's own costs more than what is measured here.
  trustProxy: trustedProxies(['127.0.0.1']),
  // The load generator has one address; what a proxy would add is added here, for every variant.
  serverFactory: (handle) =>
    createServer((request, response) => {
      requests += 1
      request.headers['x-forwarded-for'] = addresses[requests % addresses.length]
      handle(request, response)
    }),
})
const maxPerMinute = 1_000_000
switch (process.argv[2]) {
  case 'ours':
    await app.register(abuseGuard, { maxPerMinute })
    break
  case 'ours-redis': {
    const redis = new GuardedRedis({ url: redisUrl() ?? '' })
    await redis.ready(10_000)
    await app.register(abuseGuard, { maxPerMinute, redis })
    break
  }
}
app.get('/quote', async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' }))
await listen(app)
