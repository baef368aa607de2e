import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify, { type FastifyRequest } from 'fastify'

interface Caller {
  readonly id: string | undefined
  readonly role: string
}

const app = Fastify()
// Stands for authentication: it has to come before what asks who it is.
app.decorateRequest('caller', null)
app.addHook('onRequest', async (request) => {
  const { user, role = 'user' } = request.headers as { user?: string; role?: string }
  request.setDecorator<Caller>('caller', { id: user, role })
})
const callerOf = (request: FastifyRequest) => request.getDecorator<Caller>('caller')

await app.register(tenantRateLimit, {
  policies: { start: '2/minute', status: '30/minute' },
  groups: { bots: '4/minute' },
  user: (request) => callerOf(request).id,
  exempt: (request) => callerOf(request).role === 'admin',
})

// Two of each user, four of all users together. A request that one of them refuses takes nothing of the other.
const limits = { policy: 'start', by: 'user', group: 'bots' } as const
app.post('/start', { config: { tenantRateLimit: limits } }, async () => 'started')

const start = async (user: string, role = 'user') => {
  const answer = await app.inject({ method: 'POST', url: '/start', headers: { user, role } })
  const refusedBy = answer.statusCode === 429 && answer.json()['violated-policies']
  console.log(user, answer.statusCode, refusedBy || 'started')
}
for (const user of ['ann', 'ann', 'ann', 'ben', 'ben', 'eve']) await start(user)
await start('root', 'admin')
await app.close()
