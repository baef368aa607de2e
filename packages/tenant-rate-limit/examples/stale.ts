import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify from 'fastify'

const cached = new Map([['acme', { body: '{"color":"#0a6"}', ageMs: 42_000 }]])

const app = Fastify()
await app.register(tenantRateLimit, {
  policies: { public: '1/minute' },
  tenant: (request) => (request.params as { tenant?: string }).tenant,
})
app.get<{ Params: { tenant: string } }>(
  '/:tenant/theme',
  {
    config: {
      tenantRateLimit: {
        policy: 'public',
        onLimit: 'stale',
        // With @holdfast/stale-cache it is: stale: (request) => themes.peek(request.params.tenant)
        stale: (request, reply) => {
          const known = cached.get((request.params as { tenant: string }).tenant)
          if (known === undefined) return undefined
          reply.header('age', String(known.ageMs / 1000)).header('cache-status', 'themes; hit')
          return reply.type('application/json').send(known.body)
        },
      },
    },
  },
  async (request) => ({ color: request.params.tenant === 'acme' ? '#0a6' : '#888' }),
)

for (const path of ['/acme/theme', '/acme/theme', '/globex/theme', '/globex/theme']) {
  const { statusCode, headers } = await app.inject(path)
  console.log(path, statusCode, headers['ratelimit'], headers['age'] ?? '-', headers['cache-status'] ?? '-')
}
await app.close()
