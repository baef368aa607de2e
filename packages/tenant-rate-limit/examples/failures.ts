import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify from 'fastify'

const app = Fastify()
await app.register(tenantRateLimit, { policies: { login: '5 per 15m strict' } })

// Only failures count. Each request takes one when it comes, and gets it back when it succeeds.
const limits = {
  policy: 'login',
  by: (request: { body: unknown }) => (request.body as { email?: string } | null)?.email,
  count: 'failures',
  // The key is in the body, which is read by then.
  phase: 'preHandler',
} as const
app.post('/login', { config: { tenantRateLimit: limits } }, async (request, reply) => {
  const { password } = request.body as { password: string }
  return reply.code(password === 'correct' ? 200 : 401).send()
})

const login = async (email: string, password: string) => {
  const { statusCode, headers } = await app.inject({
    method: 'POST',
    url: '/login',
    body: { email, password },
  })
  console.log(email, statusCode, headers['ratelimit'])
}
for (let time = 0; time < 3; time += 1) await login('ann@example.com', 'correct')
for (let time = 0; time < 4; time += 1) await login('ben@example.com', 'guess')
await login('ann@example.com', 'correct')
await app.close()
