import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify from 'fastify'

const app = Fastify()
// Stands for authentication: it has to come before what asks who it is.
app.decorateRequest('principal', null)
app.addHook('onRequest', async (request) => {
  const { user, role } = request.headers as { user?: string; role?: string }
  request.principal = user === undefined ? null : { id: user, role: role ?? 'user' }
})
await app.register(tenantRateLimit, {
  policies: { start: '2/minute', status: '30/minute' },
  groups: { bots: '4/minute' },
  user: (request) => request.principal?.id,
  exempt: (request) => request.principal?.role === 'admin',
})

declare module 'fastify' {
  interface FastifyRequest {
    principal: { readonly id: string; readonly role: string } | null
  }
}

// Two of each user, four of all users together. A request that one of them refuses takes nothing of the other.
const limits = { policy: 'start', by: 'user', group: 'bots' } as const
app.post('/start', { config: { tenantRateLimit: limits } }, async () => 'started')

const start = async (user: string, role = 'user') => {
  const answer = await app.inject({ method: 'POST', url: '/start', headers: { user, role } })
  console.log(
    user,
    answer.statusCode,
    answer.statusCode === 429 ? answer.json()['violated-policies'] : 'started',
  )
}
for (const user of ['ann', 'ann', 'ann', 'ben', 'ben', 'eve']) await start(user)
await start('root', 'admin')
await app.close()
