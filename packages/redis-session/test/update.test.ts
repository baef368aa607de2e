import { startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { type RedisSessionOptions, redisSession, sessionFields } from '../src/index.ts'
import { Browser, guardOf, secrets, sessionApp } from './session-app.ts'

const data = sessionFields({
  visits: (value) => (typeof value === 'number' ? value : undefined),
  seen: (value) => (Array.isArray(value) ? (value as readonly string[]) : undefined),
  notice: (value) => (typeof value === 'string' ? value : undefined),
})

async function app(options: RedisSessionOptions): Promise<FastifyInstance> {
  const app = await sessionApp({ ...options, fields: data.fields })
  app.post('/visit', async (request) => data.of(request).increment('visits'))
  app.post('/visit/:by', async (request) => {
    await request.session.load()
    return data.of(request).increment('visits', Number((request.params as { by: string }).by))
  })
  app.post('/seen/:what', async (request) => {
    await data.of(request).pushCapped('seen', (request.params as { what: string }).what, 3)
    return (await data.of(request).get('seen')) ?? []
  })
  app.post('/take', async (request) => ({ notice: (await data.of(request).take('notice')) ?? null }))
  app.post('/mixed', async (request) => {
    const session = data.of(request)
    session.set('notice', 'first')
    session.set('visits', 40)
    await session.update('visits', (visits) => (visits ?? 0) + 2)
    return { visits: await session.get('visits'), notice: await session.get('notice') }
  })
  app.post('/wrong', async ({ session }) => session.increment('seen'))
  app.post('/wronger', async ({ session }) => session.pushCapped('visits', 1, 3))
  app.post('/unknown', async ({ session }) => session.increment('nothing'))
  app.post<{ Params: { most: string } }>('/capped/:most', async (request) => {
    await data.of(request).pushCapped('seen', 'x', Number(request.params.most))
  })
  return app
}

for (const encrypt of [false, true]) {
  t.test(`of changes that come together none is lost (${encrypt ? 'encrypted' : 'plain'})`, async (t) => {
    const server = await startRedis()
    const guards = [await guardOf(server), await guardOf(server)]
    const [one, two] = [
      await app({ redis: guards[0], secrets, encrypt }),
      await app({ redis: guards[1], secrets, encrypt }),
    ]
    t.teardown(async () => {
      await one.close()
      await two.close()
      for (const guard of guards) await guard.close()
      await server.stop()
    })
    const browser = new Browser(one)
    await browser.post('/login', { userId: 'ann' })
    const both = [browser.at(one), browser.at(two)]
    const sums = await Promise.all(
      Array.from({ length: 30 }, async (_, at) => Number((await both[at % 2]?.post('/visit'))?.body)),
    )
    t.same(
      sums.toSorted((a, b) => a - b),
      Array.from({ length: 30 }, (_, at) => at + 1),
      'each has a number of its own',
    )
    t.equal((await browser.post('/visit/-10')).body, '20')
    for (const what of ['a', 'b', 'c', 'd']) await browser.post(`/seen/${what}`)
    t.same((await browser.post('/seen/e')).json(), ['c', 'd', 'e'])
    await browser.post('/data', { notice: 'welcome' })
    const taken = await Promise.all(Array.from({ length: 6 }, (_, at) => both[at % 2]?.post('/take')))
    t.same(
      taken.map((answer) => answer?.json().notice).filter((notice) => notice !== null),
      ['welcome'],
      'one of them has it',
    )
    t.same((await browser.post('/mixed')).json(), { visits: 42, notice: 'first' })
  })
}

t.test('what cannot be changed so says why', async (t) => {
  const service = await app({ maxBytes: 64, warnBytes: 40 })
  service.post('/ended', async (request) => {
    await request.session.load()
    await service.redisSession.revokeAll('ann')
    return data.of(request).increment('visits')
  })
  const browser = new Browser(service)
  t.equal((await browser.post('/visit')).body, '1', 'a session of nobody begins with it')
  t.match(browser.setCookies, [/^sid=v1/])
  t.same((await new Browser(service).post('/take')).json(), { notice: null })
  t.equal(service.redisSession.snapshot().counts.created, 1, 'what takes nothing begins nothing')
  await browser.post('/seen/a')
  for (const [url, message] of [
    ['/wrong', /only a number/],
    ['/wronger', /only a list/],
    ['/unknown', /no such field/],
    ['/visit/x', /NaN is no number/],
    ['/visit/Infinity', /Infinity is no number/],
    ...['0', '-1', '1.5', 'x'].map((most) => [`/capped/${most}`, /maxItems must be/] as const),
  ] as const) {
    t.match((await browser.post(url)).json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA', message }, url)
  }
  const before = service.redisSession.snapshot().counts.oddities
  await browser.post(`/seen/${'x'.repeat(30)}`)
  t.equal(service.redisSession.snapshot().counts.oddities, before + 1, 'a large session is told')
  t.match((await browser.post(`/seen/${'x'.repeat(60)}`)).json(), {
    code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
    message: /"seen"/,
  })
  const copy = browser.at(service)
  await browser.post('/logout')
  t.equal((await copy.post('/visit')).body, '1', 'nothing of a session that has ended is left')
  t.equal((await copy.get('/me')).statusCode, 401)
  await browser.post('/login', { userId: 'ann' })
  t.match((await browser.post('/ended')).json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_GONE' })
  t.match(browser.setCookies, [/Max-Age=0/])
  await service.close()
})

t.test('who is slower than somebody else all the time is told so', async (t) => {
  const server = await startRedis()
  const guard = await guardOf(server)
  const service = await app({ redis: guard, secrets })
  t.teardown(async () => {
    await service.close()
    await guard.close()
    await server.stop()
  })
  const browser = new Browser(service)
  await browser.post('/login', { userId: 'ann' })
  await browser.post('/visit')
  const { run } = guard
  const copy = browser.at(service)
  let others = 0
  guard.run = (async (...call: Parameters<typeof run>) => {
    if (call[0].name !== 'session-swap') return run.apply(guard, call)
    others += 1
    guard.run = run
    await copy.post('/data', { visits: 1000 + others })
    const slow = guard.run
    guard.run = unlucky
    return slow.apply(guard, call)
  }) as typeof run
  const unlucky = guard.run
  t.match((await browser.post('/visit')).json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_CONFLICT' })
  guard.run = run
  t.equal(others, 100)
  t.equal((await browser.post('/visit')).body, '1101')
})

t.test('the end of a session is heard on every process, once', async (t) => {
  const server = await startRedis()
  const guards = [await guardOf(server, 5000, 50), await guardOf(server, 5000, 50)]
  const [one, two] = [
    await sessionApp({ redis: guards[0], secrets }),
    await sessionApp({ redis: guards[1], secrets }),
  ]
  t.teardown(async () => {
    await one.close()
    await two.close()
    for (const guard of guards) await guard.close()
    await server.stop()
  })
  const heard: string[] = []
  for (const [name, service] of Object.entries({ one, two })) {
    service.post('/watch', { config: { redisSession: 'optional' } }, async ({ session }) => {
      session.onEnd((reason) => heard.push(`${name} ${reason}`))
      return 'watching'
    })
  }
  await waitUntil(() => guards.every((guard) => guard.listening('hf:redis-session:ended')))
  const ends: Record<string, (browser: Browser) => Promise<unknown>> = {
    ended: (browser) => browser.post('/logout'),
    replaced: (browser) => browser.post('/elevate'),
  }
  ends['ended all'] = () => two.redisSession.revokeAll('ann')
  ends['ended one'] = async (browser) => two.redisSession.revoke('ann', (await browser.get('/me')).json().id)
  for (const [reason, end] of Object.entries(ends)) {
    heard.length = 0
    const browser = new Browser(one)
    await browser.post('/login', { userId: 'ann' })
    for (const service of [one, two]) t.equal((await browser.at(service).post('/watch')).statusCode, 200)
    await end(browser)
    await waitUntil(() => heard.length === 2)
    t.same(heard.toSorted(), [`one ${reason.split(' ')[0]}`, `two ${reason.split(' ')[0]}`])
    await browser.post('/logout')
  }

  heard.length = 0
  const browser = new Browser(one)
  await browser.post('/login', { userId: 'ann' })
  await browser.at(two).post('/watch')
  const stays = new Browser(one)
  await stays.post('/login', { userId: 'ben' })
  await stays.at(two).post('/watch')
  // Words are lost with the connection; who watches is told all the same, when it stands again.
  const end = guards[1]?.breaker.isolate('a test')
  await guards[0]?.publish('hf:redis-session:ended', 'nonsense x')
  const silent = two.redisSession
  server.proxy.reset()
  await guards[0]?.ready(10_000)
  await browser.post('/logout')
  end?.()
  await waitUntil(() => silent.available && heard.length > 0)
  t.same(heard, ['two ended'])
  t.equal((await new Browser(one).post('/watch')).statusCode, 401, 'there is nothing to watch')
})

t.test('a scope that was made before the plugin has no session, and its answers leave', async (t) => {
  const service = Fastify()
  let scope: FastifyInstance | undefined
  await service.register(async (early) => {
    early.get('/early', async () => 'early')
    scope = early
  })
  t.ok(scope)
  await service.register(redisSession)
  service.get('/late', async ({ session }) => ({ unavailable: session.unavailable }))
  t.equal((await service.inject('/early')).body, 'early')
  t.same((await service.inject('/late')).json(), { unavailable: false })
  await service.close()
})
