/**
 * A small asynchronous route behind a proxy that a thousand clients use in turn: `bare`, or with abuse-guard on every
 * request, for itself (`ours`) or with its blocks in Redis (`ours-redis`), or with a hook that does no more than look up
 * the address behind the proxy in a set (`address`). With two of them, both are in one process, and it tells what the
 * first costs, of the second.
 */
import { createServer } from 'node:http'
import { abuseGuard, trustedProxies } from '@holdfast/abuse-guard'
import { GuardedRedis } from '@holdfast/redis-guard'
import fastify, { type FastifyInstance, type FastifyServerFactory } from 'fastify'
import { redisUrl } from '../config.ts'
import { InTurn } from '../harness/in-turn.ts'
import { answerParent } from '../harness/parent.ts'
import { listen } from './listen.ts'

const addresses = Array.from({ length: 1000 }, (_, at) => `203.0.${at >> 8}.${at & 255}`)
/** That of Fastify's own servers: Node's 5 s end connections that wait for the other variants. */
const KEEP_ALIVE_MS = 72_000
const seen = new Set<string>()
let requests = 0

const [kind, against] = process.argv.slice(2, -1)
const other = against === undefined ? undefined : await application(against)
await other?.ready()
const inTurn = new InTurn(() => {
  const { user, system } = process.cpuUsage()
  return user + system
})
answerParent({ figures: () => inTurn.figures() })

const app = await application(kind, (handle) =>
  createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    requests += 1
    // The load generator has one address; what a proxy would add is added here, for every variant.
    request.headers['x-forwarded-for'] = addresses[requests % addresses.length]
    if (other !== undefined && inTurn.next() === 'reference') other.routing(request, response)
    else handle(request, response)
  }),
)
await listen(app)

async function application(
  name: string | undefined,
  serverFactory?: FastifyServerFactory,
): Promise<FastifyInstance> {
  const app = fastify({
    // The same for every variant: a list of Fastify's own costs more than what is measured here.
    trustProxy: trustedProxies(['127.0.0.1']),
    ...(serverFactory === undefined ? {} : { serverFactory }),
  })
  const maxPerMinute = 1_000_000
  switch (name) {
    case 'ours':
      await app.register(abuseGuard, { maxPerMinute })
      break
    case 'ours-redis': {
      const redis = new GuardedRedis({ url: redisUrl() ?? '' })
      await redis.ready(10_000)
      await app.register(abuseGuard, { maxPerMinute, redis })
      break
    }
    case 'address':
      app.addHook('onRequest', (request, _reply, done) => {
        seen.add(request.ip)
        done()
      })
      break
  }
  app.get('/quote', async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' }))
  return app
}
