import { get as httpGet } from 'node:http'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { limitedApp } from './limited-app.ts'

t.test('where failures count, who succeeds is never refused', async (t) => {
  const { app } = await limitedApp(t, { policies: { login: '2/minute' } })
  app.get(
    '/',
    { config: { tenantRateLimit: { policy: 'login', count: 'failures' } } },
    async (request, reply) => reply.code(Number(request.headers['answer'])).send(),
  )
  const ask = async (answer: number) =>
    (await app.inject({ url: '/', headers: { answer: String(answer) } })).statusCode
  for (let time = 0; time < 10; time += 1) t.equal(await ask(200), 200)
  t.equal(await ask(302), 302)
  t.equal(await ask(401), 401)
  t.equal(await ask(500), 500)
  t.equal(await ask(200), 429)
  t.match(app.tenantRateLimit.snapshot().requests, { refunded: 11, refused: 1 })
})

t.test('where successes count, failures take nothing', async (t) => {
  const { app } = await limitedApp(t, { policies: { orders: '2/minute' } })
  const config = { tenantRateLimit: { policy: 'orders', count: 'successes' } } as const
  app.get('/', { config }, async (request) => {
    if (request.headers['fail'] !== undefined) throw new Error('failed')
    return 'ok'
  })
  const ask = async (headers: Record<string, string>) => (await app.inject({ url: '/', headers })).statusCode
  for (let time = 0; time < 5; time += 1) t.equal(await ask({ fail: '1' }), 500)
  t.equal(await ask({}), 200)
  t.equal(await ask({}), 200)
  t.equal(await ask({}), 429)
})

t.test('as many as the limit may be on their way, whatever becomes of them', async (t) => {
  const { app } = await limitedApp(t, { policies: { login: '2/minute' } })
  const ends: (() => void)[] = []
  app.get('/', { config: { tenantRateLimit: { policy: 'login', count: 'failures' } } }, async () => {
    await new Promise<void>((resolve) => ends.push(resolve))
    return 'ok'
  })
  const waiting = [app.inject('/'), app.inject('/')].map((answer) =>
    answer.then(({ statusCode }) => statusCode),
  )
  await waitUntil(() => ends.length === 2)
  t.equal((await app.inject('/')).statusCode, 429)
  for (const end of ends) end()
  t.strictSame(await Promise.all(waiting), [200, 200])
  const later = app.inject('/')
  await waitUntil(() => ends.length === 3)
  ends[2]?.()
  t.equal((await later).statusCode, 200, 'they gave back what they took')
})

t.test('who leaves before the answer is counted, whatever counts', async (t) => {
  for (const count of ['failures', 'successes'] as const) {
    const { app } = await limitedApp(t, { policies: { login: '1/minute' } })
    let arrived = false
    let left = false
    app.get('/', { config: { tenantRateLimit: { policy: 'login', count } } }, async (_request, reply) => {
      arrived = true
      reply.raw.once('close', () => {
        left = true
      })
      await waitUntil(() => left)
      return 'too late'
    })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const request = httpGet(url)
    request.on('error', () => {})
    await waitUntil(() => arrived)
    request.destroy()
    await waitUntil(() => left)
    t.equal((await fetch(url)).status, 429, count)
  }
})

t.test('an answer past Fastify is settled by its status, on a real socket', async (t) => {
  const { app } = await limitedApp(t, { policies: { login: '1/minute' } })
  app.get('/', { config: { tenantRateLimit: { policy: 'login', count: 'failures' } } }, (request, reply) => {
    reply.hijack()
    reply.raw.writeHead(Number(request.headers['answer']))
    reply.raw.end('raw')
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const ask = async (answer: string) => {
    const response = await fetch(url, { headers: { answer } })
    await response.text()
    return response.status
  }
  const refunds = () => app.tenantRateLimit.snapshot().requests.refunded
  t.equal(await ask('200'), 200)
  await waitUntil(() => refunds() === 1)
  t.equal(await ask('200'), 200)
  await waitUntil(() => refunds() === 2)
  t.equal(await ask('403'), 403)
  t.equal(await ask('200'), 429)
})
