import fastify from 'fastify'
import t from 'tap'
import { staleCache } from '../src/plugin.ts'

t.test('a route answers from memory, and the value follows', async (t) => {
  const app = fastify()
  await app.register(staleCache)
  const themes = app.staleCache.create('themes', {
    load: async (keys) => keys.map((key) => ({ key, value: { name: key } })),
    fallback: () => ({ name: 'default' }),
  })
  app.get('/:tenant/theme', (request, reply) => {
    const { tenant } = request.params as { tenant: string }
    reply.sendRepresentation(themes.peek(tenant))
  })
  await app.ready()
  const first = await app.inject('/acme/theme')
  t.same(first.json(), { name: 'default' })
  await themes.refresh(['acme'])
  const second = await app.inject('/acme/theme')
  t.same(second.json(), { name: 'acme' })
  t.equal(second.headers['cache-control'], 'public, max-age=300, stale-while-revalidate=60')
  await app.close()
})
