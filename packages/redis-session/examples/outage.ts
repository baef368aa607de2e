import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisGuard } from '@holdfast/redis-guard'
import { FileLog, redisSession } from '@holdfast/redis-session'
import { startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'

const directory = join(tmpdir(), `ends-${process.pid}`)
const server = await startRedis()
const app = Fastify()
await app.register(redisGuard, { url: server.url, budgetMs: 5000, startupWaitMs: 10_000 })
await app.register(redisSession, {
  redis: app.redisGuard,
  secrets: ['the first one makes new ids, more follow'],
  cookie: { secure: false }, // in development
  outageFields: ['theme'],
  // Where logouts are noted that Redis cannot be told. Processes on several machines share a table: TableLog.
  revocationLog: new FileLog(directory),
})
app.post('/login/:user', async ({ session, params }) => {
  await session.login({ userId: (params as { user: string }).user, roles: ['user', 'admin'] })
})
app.post('/dark', async ({ session }) => session.set('theme', 'dark'))
app.post('/logout', async ({ session }) => session.logout())
app.get('/me', { config: { redisSession: 'required' } }, async ({ session }) => {
  return `${session.user?.userId} ${session.user?.roles} ${await session.get('theme')}`
})
app.get('/admin', { config: { redisSession: { fresh: true } } }, async () => 'admin')

const browser = () => {
  const cookies: Record<string, string> = {}
  return async (method: 'GET' | 'POST', url: string) => {
    const answer = await app.inject({ method, url, cookies })
    for (const { name, value } of answer.cookies) cookies[name] = value
    return answer.statusCode === 200 ? answer.body : answer.statusCode
  }
}
const [ann, ben, carl] = [browser(), browser(), browser()]
await ann('POST', '/login/ann')
await ben('POST', '/login/ben')

await server.kill9()
await new Promise<void>((resolve) => {
  app.redisGuard.onStateChange((state) => state === 'down' && resolve())
  if (!app.redisGuard.available) resolve()
})
console.log(await ann('GET', '/me'), '/', await ann('GET', '/admin'))
await ann('POST', '/dark')
await ben('POST', '/logout')
await carl('POST', '/login/carl')
console.log(await carl('GET', '/me'), '/', app.redisSession.snapshot().untold, 'logout to tell')

await server.restart()
await app.redisGuard.ready(10_000)
console.log(await ann('GET', '/me'), '/', await ann('GET', '/admin'))
console.log(await carl('GET', '/me'), '/', await ben('GET', '/me'))
await app.close()
await server.stop()
await rm(directory, { recursive: true })
