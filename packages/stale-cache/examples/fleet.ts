import { redisGuard } from '@holdfast/redis-guard'
import { staleCache } from '@holdfast/stale-cache'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'

const server = await startRedis()
let color = '#0a6'
let asked = 0

/** One process of the fleet; here, for once, several in one. */
async function start() {
  const app = Fastify()
  // Patience with a busy machine; 50 ms, the default, is for services.
  await app.register(redisGuard, { url: server.url, budgetMs: 2000 })
  await app.register(staleCache, { redis: app.redisGuard })
  const themes = app.staleCache.create('themes', {
    load: async (tenants) => {
      asked += 1
      return tenants.map((key) => ({ key, value: { color } }))
    },
    fallback: () => ({ color: '#888' }),
  })
  await app.ready()
  await waitUntil(() => themes.snapshot().fleet?.listening === true)
  return { app, themes }
}

const fleet = await Promise.all([start(), start(), start()])
const [first] = fleet
await Promise.all(fleet.map(({ themes }) => themes.get('acme')))
console.log(fleet.length, 'processes,', asked, 'load')

color = '#c33'
await first?.themes.refresh(['acme'])
await waitUntil(() => fleet.every(({ themes }) => themes.peek('acme').value.color === '#c33'))
console.log('all have it after', asked, 'loads')

await server.kill9()
color = '#36c'
await Promise.all(fleet.map(({ themes }) => themes.refresh(['acme'])))
console.log('without Redis each asks for itself:', asked)

await Promise.all(fleet.map(({ app }) => app.close()))
await server.stop()
