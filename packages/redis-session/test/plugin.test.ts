import { readFile } from 'node:fs/promises'
import { HandClock } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import plugin, { type RedisSessionOptions, redisSession, sessionFields } from '../src/index.ts'
import { Browser, sessionApp } from './session-app.ts'

t.test('the default export is the named one, and one registration is enough', async (t) => {
  t.equal(plugin, redisSession)
  const app = Fastify()
  await app.register(redisSession)
  await t.rejects(async () => app.register(redisSession), {
    code: 'HOLDFAST_ERR_REDIS_SESSION_ALREADY_REGISTERED',
  })
  await app.close()
})

t.test('a cookie is set when it changes and never otherwise', async (t) => {
  const app = await sessionApp({ cookie: {} })
  const browser = new Browser(app)
  const named = (pattern: RegExp) => t.match(browser.setCookies, [pattern])
  await browser.get('/lazy')
  t.same(browser.setCookies, [], 'nobody')
  await browser.post('/data', { a: null })
  t.same(browser.setCookies, [], 'nothing to keep')
  await browser.post('/data', { a: 1 })
  named(/^__Host-Http-sid=v1\.[\w.-]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  await browser.post('/data', { a: 2 })
  t.same(browser.setCookies, [])
  const answer = await browser.post('/login', { userId: 'ann' })
  named(/^__Host-Http-sid=v1\.[\w.-]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  t.equal(answer.headers['cache-control'], 'private, no-store')
  t.equal(answer.headers['vary'], 'Cookie')
  await browser.get('/me')
  t.same(browser.setCookies, [])
  await browser.post('/login', { userId: 'ann', permanent: true })
  named(/^__Host-Http-sid=v1\.[\w.-]+; Max-Age=(2592000|2591999); Path=/)
  await browser.post('/elevate')
  named(/Max-Age=/)
  await browser.post('/logout')
  named(/^__Host-Http-sid=; Max-Age=0; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  await browser.post('/logout')
  t.same(browser.setCookies, [], 'nobody was signed in')
  await app.close()
})

t.test('two cookies of our name are none', async (t) => {
  const app = await sessionApp()
  const browser = new Browser(app)
  await browser.post('/login', { userId: 'ann' })
  const sid = browser.cookies.get('sid')
  t.equal((await new Browser(app).get('/me', { cookie: `sid=${sid}` })).statusCode, 200)
  t.equal((await new Browser(app).get('/me', { cookie: `a=1; sid=${sid}; sid=x` })).statusCode, 401)
  t.equal((await new Browser(app).get('/me', { cookie: `sid=x; sid=${sid}` })).statusCode, 401)
  t.equal(app.redisSession.snapshot().counts.oddities, 2)
  await app.close()
})

t.test('an answer for everybody never carries a cookie', async (t) => {
  const app = await sessionApp()
  const forAll = ['public, max-age=60', 's-maxage=60']
  for (const [place, value] of forAll.entries()) {
    app.get(`/public-${place}`, async ({ session }, reply) => {
      reply.header('cache-control', value)
      session.set('a', 1)
      return 'for all'
    })
  }
  app.get('/own', async ({ session }, reply) => {
    reply.header('cache-control', 'private, max-age=5').header('vary', 'Accept')
    await session.load()
    return 'mine'
  })
  app.get('/all', async ({ session }, reply) => {
    reply.header('vary', 'Cookie, Accept')
    await session.load()
    return 'mine'
  })
  for (const [place, value] of forAll.entries()) {
    const browser = new Browser(app)
    const answer = await browser.get(`/public-${place}`)
    t.same(browser.setCookies, [])
    t.equal(answer.headers['cache-control'], value)
  }
  const answer = await new Browser(app).get('/own')
  t.equal(answer.headers['cache-control'], 'private, max-age=5')
  t.equal(answer.headers['vary'], 'Accept, Cookie')
  t.equal((await new Browser(app).get('/all')).headers['vary'], 'Cookie, Accept')
  t.equal((await new Browser(app).get('/plain')).headers['cache-control'], undefined)
  t.equal(app.redisSession.snapshot().counts.oddities, 2)
  await app.close()
})

t.test('routes say what they need', async (t) => {
  const clock = new HandClock()
  const app = await sessionApp({ clock })
  const browser = new Browser(app)
  t.same((await browser.get('/optional')).json(), { user: null, unavailable: false })
  t.match((await browser.get('/me')).json(), {
    statusCode: 401,
    code: 'HOLDFAST_ERR_REDIS_SESSION_UNAUTHENTICATED',
  })
  t.match((await browser.get('/off')).json(), { statusCode: 500, code: 'HOLDFAST_ERR_REDIS_SESSION_OFF' })
  await browser.post('/data', { a: 1 })
  t.equal((await browser.get('/me')).statusCode, 401, 'a session of nobody')
  await browser.post('/login', { userId: 'ann' })
  t.same((await browser.get('/optional')).json(), { user: 'ann', unavailable: false })
  t.match((await browser.get('/me')).json(), {
    userId: 'ann',
    tenantId: 'acme',
    roles: ['user'],
    methods: [],
  })
  t.same((await browser.get('/fresh')).json(), { fresh: true })
  await clock.advance(900_001)
  t.match((await browser.get('/fresh')).json(), {
    statusCode: 401,
    code: 'HOLDFAST_ERR_REDIS_SESSION_STALE_AUTHENTICATION',
  })
  await browser.post('/elevate')
  t.equal((await browser.get('/fresh')).statusCode, 200)
  await app.close()
})

t.test('a session ends when it is not used, and after its time', async (t) => {
  const clock = new HandClock()
  const app = await sessionApp({ clock, profiles: { default: { idleMs: 10_000, absoluteMs: 25_000 } } })
  const [idle, busy] = [new Browser(app), new Browser(app)]
  for (const browser of [idle, busy]) await browser.post('/login', { userId: 'ann' })
  for (let seconds = 0; seconds < 24; seconds += 6) {
    t.equal((await busy.get('/me')).statusCode, 200, `after ${seconds} s`)
    await clock.advance(6000)
  }
  t.equal((await idle.get('/me')).statusCode, 401)
  t.match(idle.setCookies, [/Max-Age=0/])
  await clock.advance(1000)
  t.equal((await busy.get('/me')).statusCode, 401)
  await app.close()
})

t.test('what a failed request changed is not kept, what a refused one did is', async (t) => {
  const app = await sessionApp()
  app.post<{ Params: { status: string } }>('/fail/:status', async ({ session, params }) => {
    session.set('status', params.status)
    throw Object.assign(new Error('no'), { statusCode: Number(params.status) })
  })
  const browser = new Browser(app)
  await browser.post('/fail/500')
  t.same(browser.setCookies, [])
  await browser.post('/fail/409')
  t.same((await browser.get('/data/status')).json(), { value: '409' })
  await browser.post('/nowhere')
  await app.close()
})

t.test('data is bounded, and an error names the field', async (t) => {
  const app = await sessionApp({ maxBytes: 100, maxFields: 2 })
  const browser = new Browser(app)
  t.match((await browser.post('/data', { big: 'x'.repeat(200) })).json(), {
    code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
    message: /"big"/,
  })
  t.match((await browser.post('/data', { a: 1, b: 2, c: 3 })).json(), { message: /"c"/ })
  await browser.post('/data', { first: 'x'.repeat(60) })
  const blind = await browser.post('/data', { second: 'x'.repeat(60) })
  t.match(blind.json(), {
    statusCode: 500,
    code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
    message: /"second"/,
  })
  t.same((await browser.get('/data/second')).json(), { value: null })
  t.match((await browser.post('/data', { save: 1 })).json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA' })
  t.match((await browser.get('/data/constructor')).json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA' })
  t.equal(({} as { polluted?: 1 }).polluted, undefined)
  await app.close()
})

t.test('fields have types without a declaration', async (t) => {
  const typed = sessionFields({
    theme: (value) => (value === 'dark' || value === 'light' ? value : undefined),
    visits: (value) => (Number.isSafeInteger(value) ? (value as number) : undefined),
  })
  const app = Fastify()
  await app.register(redisSession, { fields: typed.fields, cookie: { secure: false } })
  app.get('/', async (request) => {
    const session = typed.of(request)
    const visits: number = ((await session.get('visits')) ?? 0) + 1
    session.set('visits', visits)
    session.set('theme', 'dark')
    t.equal(await session.get('theme'), 'dark')
    session.remove('theme')
    t.equal(await session.get('theme'), undefined)
    return { visits }
  })
  const browser = new Browser(app)
  await browser.get('/')
  t.same((await browser.get('/')).json(), { visits: 2 })
  await app.close()
})

t.test('a session that was not read says so, and one that was sent takes nothing more', async (t) => {
  const app = await sessionApp()
  app.get('/early', async ({ session }) => ({ user: session.user }))
  app.get('/late', async ({ session }, reply) => {
    await session.load()
    await reply.send('sent')
    t.throws(() => session.set('a', 1), { code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LATE' })
    await t.rejects(session.login({ userId: 'ann' }), { code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LATE' })
    return reply
  })
  t.match((await app.inject('/early')).json(), { code: 'HOLDFAST_ERR_REDIS_SESSION_NOT_LOADED' })
  t.equal((await app.inject('/late')).body, 'sent')
  await app.close()
})

t.test('a session that is first asked for when the answer has gone takes nothing, either', async (t) => {
  const app = await sessionApp()
  const late = Promise.withResolvers<unknown>()
  app.post('/answered', async (request, reply) => {
    await reply.send('sent')
    const { session } = request
    const refused = await session.login({ userId: 'ann' }).catch(({ code }) => code)
    late.resolve([refused, (await session.load()).user?.userId])
    return reply
  })
  const browser = new Browser(app)
  await browser.post('/login', { userId: 'ben' })
  t.equal((await browser.post('/answered')).body, 'sent')
  t.same(await late.promise, ['HOLDFAST_ERR_REDIS_SESSION_TOO_LATE', 'ben'])
  t.match((await browser.get('/me')).json(), { userId: 'ben' }, 'and what was there goes on')
  await app.close()
})

t.test('what a route requires holds when register() was not awaited before it', async (t) => {
  const shared = { redisSession: 'required' } as const
  const app = Fastify()
  app.get('/health', async () => 'ok')
  app.register(redisSession, { cookie: { secure: false } })
  app.post('/login', async ({ session }) => {
    await session.login({ userId: 'ann', roles: ['user'] })
  })
  app.get('/me', { config: shared }, async ({ session }) => session.user)
  app.get(
    '/perhaps',
    { config: { redisSession: 'optional' } },
    async ({ session }) => session.user ?? 'nobody',
  )
  app.get('/lazy', { config: { redisSession: 'lazy' } }, async () => 'lazy')
  app.get('/wrong', { config: { redisSession: 'requierd' as 'required' } }, async () => 'open')
  app.register(async (scope) => {
    scope.get('/inside', { config: shared }, async ({ session }) => session.user)
  })
  const status = async (url: string) => (await app.inject(url)).statusCode
  t.equal(await status('/me'), 401)
  t.equal(await status('/inside'), 401)
  t.equal((await app.inject({ method: 'HEAD', url: '/me' })).statusCode, 401)
  t.equal(await status('/wrong'), 500, 'rather than open')
  for (const url of ['/health', '/perhaps', '/lazy']) t.equal(await status(url), 200, url)
  const browser = new Browser(app)
  await browser.post('/login')
  for (const url of ['/me', '/inside', '/perhaps'])
    t.match((await browser.get(url)).json(), { userId: 'ann' })
  await app.close()
})

t.test('a reply that is hijacked has its cookie, too', async (t) => {
  const app = await sessionApp()
  app.get('/hijacked', async (request, reply) => {
    request.session.set('a', 1)
    await app.redisSession.commit(request, reply)
    reply.hijack()
    reply.raw.end('raw')
  })
  const browser = new Browser(app)
  app.get('/hijacked-for-all', async (request, reply) => {
    request.session.set('b', 1)
    reply.raw.setHeader('cache-control', 'public')
    await app.redisSession.commit(request, reply)
    reply.hijack()
    reply.raw.end('raw')
  })
  const answer = await browser.get('/hijacked')
  t.equal(answer.body, 'raw')
  t.equal(answer.headers['cache-control'], 'private, no-store')
  t.match(browser.setCookies, [/^sid=v1/])
  const other = new Browser(app)
  t.equal((await other.get('/hijacked-for-all')).headers['cache-control'], 'public')
  t.same(other.setCookies, [])
  t.same((await browser.get('/data/a')).json(), { value: 1 })
  await app.close()
})

t.test('an answer that is begun once more has its cookie once', async (t) => {
  const app = await sessionApp()
  app.addHook('onSend', async (request, reply) => {
    if (request.url === '/twice' && reply.statusCode === 200) throw new Error('too late')
  })
  app.get('/twice', async ({ session }) => session.login({ userId: 'ann' }))
  const browser = new Browser(app)
  t.equal((await browser.get('/twice')).statusCode, 500)
  t.match(browser.setCookies, [/^sid=v1/])
  t.equal(browser.setCookies.length, 1)
  t.equal((await browser.get('/me')).statusCode, 200)
  await app.close()
})

t.test('who is nobody has no list', async (t) => {
  const app = await sessionApp()
  const { list, revoke, revokeAll } = app.redisSession
  const refused = { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA', message: /userId/ }
  for (const userId of [undefined, '', 7, 'x'.repeat(129)] as never[]) {
    await t.rejects(list(userId), refused)
    await t.rejects(revoke(userId, 'x'.repeat(32)), refused)
    await t.rejects(revokeAll(userId), refused)
  }
  await app.close()
})

t.test('a principal cannot be had by data, nor be none', async (t) => {
  const app = await sessionApp()
  t.match((await new Browser(app).post('/login', { userId: '' })).json(), {
    code: 'HOLDFAST_ERR_REDIS_SESSION_DATA',
  })
  for (const name of ['user', 'roles', 'principal']) {
    t.equal((await new Browser(app).post('/data', { [name]: 'admin' })).statusCode, 500)
  }
  await app.close()
})

t.test('a wrong setting fails at register() or with its route', async (t) => {
  for (const [options, message] of [
    [{ cookie: { name: '__Host-x', secure: false } }, /"cookie.name"/],
    [{ registry: {} }, /"registry"/],
    [{ appName: '' }, /"appName"/],
    [{ ttlMs: 5 }, /"ttlMs" must be left out/],
  ] as const) {
    const app = Fastify()
    await t.rejects(async () => app.register(redisSession, options as RedisSessionOptions), {
      code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION',
      message,
    })
    await app.close()
  }
  const app = Fastify()
  await app.register(redisSession)
  for (const setting of [
    'eager',
    true,
    { mode: 'eager' },
    { fresh: 1 },
    { fresh: true, mode: 'lazy' },
    { x: 1 },
  ]) {
    const add = () => app.get('/', { config: { redisSession: setting as never } }, async () => '')
    t.throws(add, { code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION', message: /config.redisSession of GET \// })
  }
  await app.close()
})

t.test('a scrape shows the snapshot, and no user ever becomes a label', async (t) => {
  const registry = new Registry()
  const app = await sessionApp({ registry })
  const lines = async () => (await registry.metrics()).split('\n').length
  const before = await lines()
  for (let user = 0; user < 20; user += 1) await new Browser(app).post('/login', { userId: `user-${user}` })
  t.equal(await lines(), before)
  const text = await registry.metrics()
  t.match(text, 'holdfast_redis_session_events_total{event="logins"} 20\n')
  t.match(text, 'holdfast_redis_session_events_total{event="bad_ids"} 0\n')
  t.match(text, 'holdfast_redis_session_available 1\n')
  await app.close()
})

t.test('a session has the members that the README names, and nothing that is of the plugin', async (t) => {
  const app = await sessionApp()
  let members: readonly string[] = []
  app.get('/members', async ({ session }) => {
    members = Object.getOwnPropertyNames(Object.getPrototypeOf(session)).filter(
      (name) => name !== 'constructor',
    )
    return Object.keys(session)
  })
  t.same((await app.inject('/members')).json(), [])
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, table = ''] = /\| member +\|[^\n]*\n(.*?)\n\n/s.exec(readme) ?? []
  const named = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(?:await )?(\w+)/g)].map(([, name]) => name),
  )
  t.same(members.toSorted(), named.filter((name) => name !== undefined).toSorted())
  await app.close()
})
