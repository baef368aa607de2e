import { claim, tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify from 'fastify'

const app = Fastify()
await app.register(tenantRateLimit, { policies: { public: '2/minute' } })
app.get('/:tenant', async (request, reply) => {
  const { tenant } = request.params as { tenant: string }
  const policy = app.tenantRateLimit.policies.get('public', tenant)
  if (policy === undefined) return 'no limit'
  const decision = await app.tenantRateLimit.limiter.decide([claim(policy, tenant, 'all')])
  return reply.code(decision.allowed ? 200 : 429).send({ remaining: decision.verdicts[0]?.remaining })
})

for (const path of ['/acme', '/acme', '/acme', '/globex']) {
  const answer = await app.inject(path)
  console.log(path, answer.statusCode, answer.body)
}
await app.close()
