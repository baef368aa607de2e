import { redisGuard } from '@holdfast/redis-guard'
import { redisSession, sessionFields } from '@holdfast/redis-session'
import { startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'

const server = await startRedis()
const app = Fastify()
// Generous, so that this runs on a busy machine; the defaults are for a service.
const patience = { budgetMs: 5000, connectTimeoutMs: 5000, startupWaitMs: 10_000 }
await app.register(redisGuard, { url: server.url, ...patience })

// Each field has a reader: it gives it its type, and data of an older version never reaches a handler.
const data = sessionFields({
  theme: (value) => (value === 'light' || value === 'dark' ? value : undefined),
})
await app.register(redisSession, {
  redis: app.redisGuard,
  secrets: ['the first one makes new ids, more follow'],
  fields: data.fields,
  cookie: { secure: false }, // in development
})

app.post('/login', async (request) => {
  await request.session.login({ userId: 'ann', tenantId: 'acme', roles: ['user'] })
  data.of(request).set('theme', 'dark')
  return 'welcome'
})
app.get('/me', { config: { redisSession: 'required' } }, async (request) => {
  return `${request.session.user?.userId} ${await data.of(request).get('theme')}`
})

console.log((await app.inject('/me')).statusCode)
const [cookie] = (await app.inject({ method: 'POST', url: '/login' })).cookies
const cookies = { sid: cookie?.value ?? '' }
console.log((await app.inject({ url: '/me', cookies })).body)

const { list, revokeAll } = app.redisSession
console.log(
  (await list('ann')).length,
  'session, then',
  (await revokeAll('ann')) && (await list('ann')).length,
)
console.log((await app.inject({ url: '/me', cookies })).statusCode)
await app.close()
await server.stop()
