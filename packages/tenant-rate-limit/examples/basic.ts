import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify, { type FastifyRequest } from 'fastify'

const app = Fastify()
await app.register(tenantRateLimit, {
  policies: { public: '2/minute' },
  tenant: ({ params }: FastifyRequest) => (params as { tenant?: string }).tenant,
})
app.get('/:tenant', { config: { tenantRateLimit: 'public' } }, async () => 'welcome')

for (const path of ['/acme', '/acme', '/acme', '/globex']) {
  const { statusCode, headers } = await app.inject(path)
  console.log(path, statusCode, headers['ratelimit'], headers['retry-after'] ?? '-')
}
const refused = await app.inject('/acme')
console.log(refused.json())
await app.close()
