import type { GuardedRedis } from '@holdfast/redis-guard'
import { askRedis, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { SecretRing } from '../src/secret-ring.ts'
import { mintId } from '../src/session-id.ts'
import { Browser, CommandCount, guardOf, secret, secrets, sessionApp } from './session-app.ts'

let server: RealServer
let guards: GuardedRedis[]
/** Two processes of one service. */
let one: FastifyInstance
let two: FastifyInstance
let count: CommandCount

t.before(async () => {
  server = await startRedis()
  count = new CommandCount(server)
  guards = [await guardOf(server), await guardOf(server)]
  const [first, second] = guards
  one = await sessionApp({ redis: first, secrets })
  two = await sessionApp({ redis: second, secrets })
})
t.teardown(async () => {
  await one.close()
  await two.close()
  for (const guard of guards) await guard.close()
  await server.stop()
})
t.beforeEach(async () => {
  await askRedis(server.port, 'FLUSHALL')
})

/** All but those of the statistics, which come a second later. */
const keys = async () =>
  ((await askRedis(server.port, 'KEYS', '*')) as readonly string[]).filter(
    (key) => !/}:(users|nobody)$/.test(key),
  )
const sessionKeys = async () => (await keys()).filter((key) => key.includes(':s:'))

async function signedIn(app = one, more: object = {}): Promise<Browser> {
  const browser = new Browser(app)
  const answer = await browser.post('/login', { userId: 'ann', ...more })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return browser
}

t.test('calls to Redis for each request, by its own count', async (t) => {
  const browser = await signedIn()
  await browser.post('/read-and-write', { warm: 'up' })
  const costs = async (request: () => Promise<{ statusCode: number }>, status = 200) => {
    await count.restart()
    t.equal((await request()).statusCode, status)
    return count.calls()
  }
  const nobody = new Browser(one)
  const sid = browser.cookies.get('sid') ?? ''
  const forged = new Browser(one, new Map([['sid', `${sid.slice(0, -1)}${sid.endsWith('A') ? 'Q' : 'A'}`]]))
  t.same(await costs(() => nobody.get('/optional')), {}, 'anonymous')
  t.same(await costs(() => nobody.get('/me'), 401), {}, 'anonymous, where somebody is required')
  t.same(await costs(() => forged.get('/optional')), {}, 'an id that was not minted here')
  t.same(await costs(() => browser.get('/plain')), {}, 'a session that nobody asked for')
  t.same(await costs(() => browser.get('/off'), 500), {}, 'a route without sessions')
  t.same(await costs(() => browser.get('/me')), { hgetall: 1 }, 'a read')
  t.same(await costs(() => browser.get('/lazy')), { hgetall: 1 }, 'a read that somebody asked for')
  t.same(await costs(() => browser.post('/data', { a: 1 })), { evalsha: 1 }, 'a write without a read')
  t.same(await costs(() => browser.post('/read-and-write', { a: 2 })), { hgetall: 1, evalsha: 1 })
  t.same(await costs(() => new Browser(one).post('/login', { userId: 'ben' })), { evalsha: 1 }, 'a login')
  t.same(await costs(() => browser.post('/login', { userId: 'ann' })), { evalsha: 1 }, 'a login in its place')
  t.same(await costs(() => browser.post('/logout'), 200).then(({ eval: _, ...rest }) => rest), { evalsha: 1 })
})

t.test('fifty requests of one browser that come together share one read', async (t) => {
  const browser = await signedIn()
  await count.restart()
  const answers = await Promise.all(Array.from({ length: 50 }, () => browser.get('/me')))
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  const { hgetall = 0 } = await count.calls()
  t.ok(hgetall >= 1 && hgetall <= 3, `${hgetall} reads`)
})

t.test('two requests write different fields: both survive', async (t) => {
  const browser = await signedIn()
  await Promise.all([
    browser.post('/read-and-write', { a: 1 }),
    browser.at(two).post('/read-and-write', { b: 2 }),
  ])
  t.same((await browser.get('/data/a')).json(), { value: 1 })
  t.same((await browser.get('/data/b')).json(), { value: 2 })
})

t.test('what was logged out never comes back, whatever a slow request does', async (t) => {
  for (const late of ['nothing', 'a write', 'a touch'] as const) {
    const slowApp = await sessionApp({ redis: guards[1], secrets, touchEveryMs: 0 })
    const loaded = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    slowApp.get('/slow', { config: { redisSession: 'required' } }, async ({ session }) => {
      loaded.resolve()
      await goOn.promise
      if (late === 'a write') session.set('cart', 'full')
      return session.user
    })
    const browser = await signedIn()
    const slow = browser.at(slowApp)
    const answering = slow.get('/slow')
    await loaded.promise
    await browser.post('/logout')
    goOn.resolve()
    t.equal((await answering).statusCode, 200, late)
    t.same(await keys(), [], `${late}: nothing is left`)
    if (late === 'a write') t.match(slow.setCookies, [/^sid=; Max-Age=0;/], 'the cookie goes')
    t.equal((await slow.get('/me')).statusCode, 401)
    await slowApp.close()
  }
})

t.test('a login always has a new id, and the one before it ends everywhere', async (t) => {
  const browser = new Browser(one)
  await browser.post('/data', { theme: 'dark', secret: 1 })
  const before = browser.at(two)
  await browser.post('/login', { userId: 'ann', keep: ['theme'] })
  t.not(browser.cookies.get('sid'), before.cookies.get('sid'))
  t.same((await browser.get('/data/theme')).json(), { value: 'dark' })
  t.same((await browser.get('/data/secret')).json(), { value: null }, 'only what was named is kept')
  t.same((await before.get('/data/theme')).json(), { value: null }, 'what an attacker had planted is nothing')
  const first = browser.at(two)
  await browser.post('/login', { userId: 'ann' })
  await browser.post('/login', { userId: 'ann' })
  t.equal((await first.get('/me')).statusCode, 401)
  t.equal((await sessionKeys()).length, 1)
  t.equal((await one.redisSession.list('ann')).length, 1)
})

t.test('an id that we signed but do not know is adopted by nobody', async (t) => {
  const { text } = mintId(new SecretRing([secret('current')]).current, (size) => Buffer.alloc(size, 7))
  const attacker = new Browser(one, new Map([['sid', text]]))
  t.equal((await attacker.get('/me')).statusCode, 401)
  t.match(attacker.setCookies, [/^sid=; Max-Age=0;/])
  const victim = new Browser(one, new Map([['sid', text]]))
  await victim.post('/login', { userId: 'ann' })
  t.not(victim.cookies.get('sid'), text)
  t.notOk((await sessionKeys()).some((key) => text.includes(key.split(':').at(-1) ?? '')))
})

t.test('a second proof gives a new id and keeps the rest', async (t) => {
  const browser = await signedIn()
  await browser.post('/data', { cart: [1] })
  const before = browser.at(two)
  const [listed] = await one.redisSession.list('ann')
  const answer = await browser.post('/elevate')
  t.same(answer.json().methods, ['pwd', 'otp'])
  t.not(browser.cookies.get('sid'), before.cookies.get('sid'))
  t.equal((await before.get('/me')).statusCode, 401)
  t.same((await browser.get('/data/cart')).json(), { value: [1] })
  t.match(await one.redisSession.list('ann'), [{ createdAt: listed?.createdAt, endsAt: listed?.endsAt }])
  t.equal((await new Browser(one).post('/elevate')).statusCode, 401)
})

t.test('a second proof loses nothing that another request wrote meanwhile', async (t) => {
  const app = await sessionApp({ redis: guards[0], secrets })
  app.post('/slow-elevate', async ({ session }) => {
    await session.load()
    await browser.at(two).post('/data', { late: 1 })
    await session.elevate()
    return 'elevated'
  })
  app.post('/hopeless', async ({ session }) => {
    await session.load()
    await browser.at(two).post('/logout')
    await session.elevate()
  })
  const browser = await signedIn(app)
  t.equal((await browser.post('/slow-elevate')).body, 'elevated')
  t.same((await browser.get('/data/late')).json(), { value: 1 })
  const answer = await browser.post('/hopeless')
  t.match(answer.json(), { statusCode: 401, code: 'HOLDFAST_ERR_REDIS_SESSION_GONE' })
  await app.close()
})

t.test('a write on condition, and one to a session that has ended, are told', async (t) => {
  const app = await sessionApp({ redis: guards[0], secrets })
  app.post('/compare', { config: { redisSession: 'required' } }, async ({ session }) => {
    await browser.at(two).post('/data', { a: 1 })
    session.set('a', 2)
    await session.commit({ compare: true })
  })
  app.post('/gone', { config: { redisSession: 'required' } }, async ({ session }) => {
    await browser.at(two).post('/logout')
    session.set('a', 2)
    await session.commit()
  })
  app.post('/twice', { config: { redisSession: 'required' } }, async ({ session }) => {
    session.set('n', 1)
    await session.commit({ compare: true })
    session.set('n', 2)
    await session.commit({ compare: true })
    session.remove('m')
    return session.get('n')
  })
  const browser = await signedIn(app)
  t.match((await browser.post('/compare')).json(), {
    statusCode: 409,
    code: 'HOLDFAST_ERR_REDIS_SESSION_CONFLICT',
  })
  t.same((await browser.get('/data/a')).json(), { value: 1 })
  t.equal((await browser.post('/twice')).body, '2')
  t.match((await browser.post('/gone')).json(), { statusCode: 401, code: 'HOLDFAST_ERR_REDIS_SESSION_GONE' })
  t.match(browser.setCookies, [/Max-Age=0/])
  await app.close()
})

t.test('users list and end their sessions, of this and of the secret before', async (t) => {
  const older = await sessionApp({ redis: guards[1], secrets: [secret('previous')] })
  const both = await sessionApp({ redis: guards[0], secrets: [secret('current'), secret('previous')] })
  const [old, now, other] = [
    await signedIn(older),
    await signedIn(both),
    await signedIn(both, { userId: 'ben' }),
  ]
  t.equal((await old.at(both).get('/me')).statusCode, 200, 'the secret is still in the ring')
  t.equal((await old.get('/me')).statusCode, 200)
  t.equal((await old.at(one).get('/me')).statusCode, 401, 'here it has left the ring')
  const listed = await both.redisSession.list('ann')
  t.equal(listed.length, 2)
  t.match(listed[0], { device: { agent: 'lightMyRequest', address: '127.0.0.1' } })
  const oldId = (await old.get('/me')).json().id
  t.ok(listed.some(({ id }) => id === oldId))
  t.equal(await both.redisSession.revoke('ben', oldId), false, 'it is not his')
  t.equal(await both.redisSession.revoke('ann', '../../etc'), false)
  t.equal(await both.redisSession.revoke('ann', oldId), true)
  t.equal((await old.get('/me')).statusCode, 401)
  const nowId = (await now.get('/me')).json().id
  await signedIn(older)
  t.equal(await both.redisSession.revokeAll('ann', { except: nowId }), 1)
  t.equal((await now.get('/me')).statusCode, 200)
  t.equal(await both.redisSession.revokeAll('ann'), 1)
  t.equal((await now.get('/me')).statusCode, 401)
  t.equal((await other.get('/me')).statusCode, 200)
  t.equal(both.redisSession.snapshot().counts.revoked, 3)
  await older.close()
  await both.close()
})

t.test('a session survives the process that made it', async (t) => {
  const guard = await guardOf(server)
  const app = await sessionApp({ redis: guard, secrets })
  const browser = await signedIn(app)
  await guard.close()
  await app.close()
  t.equal((await browser.at(two).get('/me')).statusCode, 200)
})

t.test('data of an older version of the service is left out, and nothing else', async (t) => {
  const browser = await signedIn()
  await browser.post('/data', { theme: 'red', count: 7 })
  const isTheme = (value: unknown) => (value === 'dark' ? value : undefined)
  const newer = await sessionApp({ redis: guards[0], secrets, fields: { theme: isTheme, count: Number } })
  const there = browser.at(newer)
  t.same((await there.get('/data/theme')).json(), { value: null })
  t.same((await there.get('/data/count')).json(), { value: 7 })
  t.equal((await there.get('/me')).statusCode, 200)
  t.equal(newer.redisSession.snapshot().counts.oddities, 1)
  await newer.close()
})

t.test('with readers only what they know is read, and a proof takes the rest along', async (t) => {
  const guard = guards[0] as GuardedRedis
  const older = await sessionApp({ redis: guard, secrets, fields: { theme: String } })
  const newer = await sessionApp({ redis: guards[1], secrets, fields: { theme: String, count: Number } })
  const browser = await signedIn(newer)
  await browser.post('/data', { theme: 'dark', count: 7 })
  const asked: string[] = []
  const { call, run } = guard
  guard.call = (command, ...args) => {
    asked.push(command)
    return call.call(guard, command, ...args)
  }
  guard.run = (script, ...rest) => {
    asked.push(script.name)
    return run.call(guard, script, ...rest) as never
  }
  const there = browser.at(older)
  t.match((await there.get('/me')).json(), { userId: 'ann', roles: ['user'] })
  t.same((await there.get('/data/theme')).json(), { value: 'dark' })
  t.equal((await there.post('/elevate')).statusCode, 200)
  Object.assign(guard, { call, run })
  const read = 'session-read'
  t.same(asked.slice(0, 4), [read, read, read, 'HGETALL'])
  t.same((await there.at(newer).get('/data/count')).json(), { value: 7 })
  t.match((await there.get('/fresh')).json(), { fresh: true })
  await older.close()
  await newer.close()
})

t.test('a value with a NUL, which nobody here writes, moves no other value', async (t) => {
  const app = await sessionApp({ redis: guards[0], secrets, fields: { theme: String, count: Number } })
  t.teardown(() => app.close())
  const browser = await signedIn(app)
  await browser.post('/data', { theme: 'a\0b', count: 7 })
  t.same((await browser.get('/data/theme')).json(), { value: 'a\0b' }, 'as JSON it has none')
  const [key = ''] = await sessionKeys()
  await askRedis(server.port, 'HSET', key, 'd:theme', '"a\0b"')
  t.equal((await browser.get('/me')).statusCode, 401)
})

t.test('a session that says nobody we can trust is none', async (t) => {
  const browser = await signedIn()
  const [key = ''] = await sessionKeys()
  await askRedis(server.port, 'HSET', key, 'p', '{"userId":7,"roles":["admin"]}')
  t.equal((await browser.get('/me')).statusCode, 401)
})

t.test(
  'nothing in Redis can be joined with a cookie or a name; encrypted, nothing can be read or moved',
  async (t) => {
    const app = await sessionApp({ redis: guards[0], secrets, encrypt: true })
    const browser = await signedIn(app, { userId: 'canary-user' })
    await browser.post('/data', { note: 'canary-note', theme: 'dark' })
    const dump = async () => {
      let text = ''
      for (const key of await keys()) {
        const type = await askRedis(server.port, 'TYPE', key)
        const value = await (type === 'hash'
          ? askRedis(server.port, 'HGETALL', key)
          : askRedis(server.port, 'ZRANGE', key, 0, -1))
        text += `${key} ${JSON.stringify(value)}\n`
      }
      return text
    }
    const text = await dump()
    t.ok(text.includes('d:note'))
    for (const part of (browser.cookies.get('sid') ?? '').split('.').slice(3)) t.notOk(text.includes(part))
    for (const canary of ['canary-user', 'canary-note', 'acme', '127.0.0.1'])
      t.notOk(text.includes(canary), canary)
    t.match(await app.redisSession.list('canary-user'), [{ device: { address: '127.0.0.1' } }])
    t.same((await browser.get('/data/note')).json(), { value: 'canary-note' })

    const [key = ''] = await sessionKeys()
    await askRedis(
      server.port,
      'HSET',
      key,
      'd:theme',
      String(await askRedis(server.port, 'HGET', key, 'd:note')),
    )
    t.same((await browser.get('/data/theme')).json(), { value: null }, 'a value that was moved')
    const admin = await signedIn(app, { userId: 'admin' })
    const adminKey = (await sessionKeys()).find((each) => each !== key) ?? ''
    await askRedis(server.port, 'HSET', key, 'p', String(await askRedis(server.port, 'HGET', adminKey, 'p')))
    t.equal((await admin.get('/me')).statusCode, 200)
    t.equal((await browser.get('/me')).statusCode, 401, 'somebody else was put into the session')
    await app.close()
  },
)

t.test('a plain Redis does not show ids either, and a use is noted without anybody waiting', async (t) => {
  const app = await sessionApp({ redis: guards[0], secrets, touchEveryMs: 0 })
  const browser = await signedIn(app)
  const before = (await app.redisSession.list('ann'))[0]?.usedAt.getTime() ?? 0
  await browser.get('/me')
  await waitUntil(async () => ((await app.redisSession.list('ann'))[0]?.usedAt.getTime() ?? 0) > before)
  t.match(browser.setCookies, [/^sidf=/], 'what an outage may believe is new, the id is not')
  await app.close()
})

t.test('too many sessions of one user: the oldest goes, or the login is refused', async (t) => {
  const evict = await sessionApp({ redis: guards[0], secrets, maxPerUser: 2 })
  const browsers = [await signedIn(evict), await signedIn(evict), await signedIn(evict)]
  const statuses = await Promise.all(browsers.map(async (browser) => (await browser.get('/me')).statusCode))
  t.same(statuses.toSorted(), [200, 200, 401])
  const deny = await sessionApp({ redis: guards[0], secrets, maxPerUser: 2, whenFull: 'deny' })
  const refused = await new Browser(deny).post('/login', { userId: 'ann' })
  t.match(refused.json(), { statusCode: 409, code: 'HOLDFAST_ERR_REDIS_SESSION_FULL' })
  await evict.close()
  await deny.close()
})

t.test(
  'while Redis is away nobody waits, nobody is logged out, and nothing is lost in silence',
  async (t) => {
    const guard = guards[0] as GuardedRedis
    const one = await sessionApp({ redis: guard, secrets, onRedisDown: 'deny' })
    const browser = await signedIn(one)
    const heal = guard.breaker.isolate('a test')
    t.equal(one.redisSession.available, false)
    const refused = await browser.get('/me')
    t.match(refused.json(), { statusCode: 503, code: 'HOLDFAST_ERR_REDIS_SESSION_UNAVAILABLE' })
    t.equal(refused.headers['retry-after'], '1')
    t.same((await browser.get('/optional')).json(), { user: null, unavailable: true })
    t.equal((await browser.get('/plain')).statusCode, 200)
    t.equal((await new Browser(one).get('/me')).statusCode, 401, 'who has no id needs no Redis to be nobody')
    const write = await browser.post('/data', { a: 1 })
    t.match(write.json(), { statusCode: 503, code: 'HOLDFAST_ERR_REDIS_SESSION_UNAVAILABLE' })
    t.equal((await browser.post('/login', { userId: 'ann' })).statusCode, 503)
    t.same(browser.setCookies, [])
    heal()
    await guard.ready(10_000)
    t.equal((await browser.get('/me')).statusCode, 200)
    await one.close()
  },
)
