/* What comes late must not undo what came before it: answers of Redis, and answers to browsers. */
import type { GuardedRedis } from '@holdfast/redis-guard'
import { askRedis, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Browser, guardOf, secret, secrets, sessionApp } from './session-app.ts'

let server: RealServer
let guards: readonly [GuardedRedis, GuardedRedis]
let one: FastifyInstance
let two: FastifyInstance

t.before(async () => {
  server = await startRedis()
  guards = [await guardOf(server), await guardOf(server)]
  one = await sessionApp({ redis: guards[0], secrets })
  two = await sessionApp({ redis: guards[1], secrets })
  await waitUntil(() => guards.every((guard) => guard.listening('hf:redis-session:ended')))
})
t.teardown(async () => {
  await one.close()
  await two.close()
  for (const guard of guards) await guard.close()
  await server.stop()
})

/** Somebody who is signed in. */
async function signedIn(app: FastifyInstance, userId = 'ann'): Promise<Browser> {
  const browser = new Browser(app)
  await browser.post('/login', { userId, roles: ['user', 'admin'] })
  return browser
}

t.test('a read that is answered late does not undo a login or a logout', async (t) => {
  const guard = await guardOf(server)
  const { call } = guard
  let held = Promise.withResolvers<void>()
  guard.call = async (...asked: Parameters<typeof call>) => {
    const reply = await call.apply(guard, asked)
    if (asked[0] === 'HGETALL') await held.promise
    return reply
  }
  const app = await sessionApp({ redis: guard, secrets })
  t.teardown(async () => {
    await app.close()
    await guard.close()
  })
  app.post<{ Params: { then: 'login' | 'logout' } }>('/late/:then', async ({ session, params }) => {
    const loading = session.load()
    if (params.then === 'login') await session.login({ userId: 'ben' })
    else await session.logout()
    held.resolve()
    await loading
    return { user: session.user?.userId ?? null }
  })
  for (const [then, user] of [
    ['login', 'ben'],
    ['logout', null],
  ] as const) {
    held = Promise.withResolvers()
    const browser = await signedIn(app)
    t.same((await browser.post(`/late/${then}`)).json(), { user }, then)
    t.equal((await browser.get('/me')).statusCode, user === null ? 401 : 200)
  }
})

t.test('what is changed while a login or a proof is under way is kept in what begins', async (t) => {
  const app = await sessionApp({ redis: guards[0], secrets, maxPerUser: 1, whenFull: 'deny' })
  t.teardown(() => app.close())
  app.post<{ Params: { what: 'login' | 'elevate' | 'refused' } }>(
    '/while/:what',
    async ({ session, params: { what } }) => {
      session.set('before', what)
      const begins = what === 'elevate' ? session.elevate() : session.login({ userId: 'ann' })
      session.set('meanwhile', what)
      await begins.catch(() => undefined)
    },
  )
  const browser = new Browser(app)
  for (const [what, before] of [
    ['login', null],
    ['elevate', 'elevate'],
  ] as const) {
    await browser.post(`/while/${what}`)
    t.same((await browser.get('/data/meanwhile')).json(), { value: what })
    t.same((await browser.get('/data/before')).json(), { value: before }, `before ${what}`)
  }
  const other = new Browser(app)
  await other.post('/while/refused')
  t.equal((await other.get('/me')).statusCode, 401)
  for (const name of ['before', 'meanwhile']) {
    t.same((await other.get(`/data/${name}`)).json(), { value: 'refused' }, 'of a login that was refused')
  }
  await app.redisSession.revokeAll('ann')
})

t.test('a request with the id before the last one does not take the last one away', async (t) => {
  const begins: Record<string, (browser: Browser) => Promise<unknown>> = {
    'a login of somebody who was nobody': (browser) => browser.post('/login', { userId: 'ann' }),
    'another login': (browser) => browser.post('/login', { userId: 'ann' }),
    'a proof': (browser) => browser.post('/elevate'),
  }
  const browser = new Browser(one)
  await browser.post('/data', { cart: 1 })
  for (const [name, begin] of Object.entries(begins)) {
    const before = [browser.at(one), browser.at(two)]
    const heard = guards.map((guard) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const stop = guard.subscribe('hf:redis-session:ended', { onMessage: () => resolve(), onGap: () => {} })
      return promise.finally(stop)
    })
    await begin(browser)
    await Promise.all(heard)
    for (const late of before) {
      for (const url of ['/optional', '/data/cart']) {
        await late.get(url)
        t.same(late.setCookies, [], `${name}: ${url}`)
      }
      await late.post('/data', { cart: 2 })
      t.same(late.setCookies, [], `${name}: a write`)
    }
    t.equal((await browser.get('/me')).statusCode, 200, name)
  }
  const late = browser.at(two)
  await browser.post('/logout')
  await late.get('/optional')
  t.match(late.setCookies, [/^sid=; Max-Age=0/, /^sidf=; Max-Age=0/], 'what has ended goes')
})

t.test('a proof of a session of the secret before loses no write, and changes nobody', async (t) => {
  const rotated = await sessionApp({ redis: guards[0], secrets: [secret('next'), ...secrets] })
  t.teardown(() => rotated.close())
  rotated.post('/slow-elevate', async ({ session }) => {
    await session.load()
    await browser.at(two).post('/data', { late: 1 })
    const mixed = { methods: ['otp'], roles: undefined, userId: 'root', tenantId: 'other' }
    await session.elevate(mixed as { methods: string[] })
    return session.user
  })
  const browser = await signedIn(two)
  const elevated = browser.at(rotated)
  t.match((await elevated.post('/slow-elevate')).json(), {
    userId: 'ann',
    tenantId: 'acme',
    roles: ['user', 'admin'],
    methods: ['otp'],
  })
  t.same((await elevated.get('/data/late')).json(), { value: 1 })
  const again = await signedIn(two)
  const there = again.at(rotated)
  t.equal((await there.post('/elevate')).statusCode, 200)
  t.equal((await there.get('/me')).statusCode, 200)
  t.equal((await again.get('/me')).statusCode, 401)
  await rotated.redisSession.revokeAll('ann')
})

t.test('a list shows what it can read, whatever somebody has written to it', async (t) => {
  const browser = await signedIn(one, 'carl')
  const { id } = (await browser.get('/me')).json()
  const [key = ''] = (await askRedis(server.port, 'KEYS', `*:s:${id}`)) as readonly string[]
  for (const device of ['{', 'null', '7', '[7,{}]', '["agent",null]']) {
    await askRedis(server.port, 'HSET', key, 'w', device)
    const agent = device.includes('agent') ? 'agent' : undefined
    t.match(await one.redisSession.list('carl'), [{ id, device: { agent, address: undefined } }], device)
  }
})

t.test('an answer waits for what the handler did not wait for', async (t) => {
  const guard = await guardOf(server)
  const app = await sessionApp({ redis: guard, secrets, onRedisDown: 'deny' })
  t.teardown(async () => {
    await app.close()
    await guard.close()
  })
  app.post('/forgotten/login', async ({ session }) => {
    session.login({ userId: 'carl' })
    return 'signed in'
  })
  app.post('/forgotten/logout', async ({ session }) => {
    session.logout()
    return 'signed out'
  })
  const browser = new Browser(app)
  t.equal((await browser.post('/forgotten/login')).statusCode, 200)
  t.match(browser.setCookies, [/^sid=v1/])
  t.match((await browser.get('/me')).json(), { userId: 'carl' })
  const thief = browser.at(app)
  t.equal((await browser.post('/forgotten/logout')).statusCode, 200)
  t.match(browser.setCookies, [/^sid=; Max-Age=0/])
  t.equal((await thief.get('/me')).statusCode, 401, 'it has ended in Redis')

  guard.breaker.isolate('away')
  t.equal((await new Browser(app).post('/forgotten/login')).statusCode, 503, 'and nobody is told that he is')
})
