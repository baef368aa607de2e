import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import cookie from '@fastify/cookie'
import type { GuardedRedis } from '@holdfast/redis-guard'
import { askRedis, type RealServer, startRedis } from '@holdfast/test-kit'
import Fastify, { type FastifyPluginAsync } from 'fastify'
import t from 'tap'
import { CallbackStore, type CallbackStoreOptions, type StoredSession } from '../src/index.ts'
import { guardOf, secret } from './session-app.ts'

/** As much of express-session as the test uses; it brings no types. */
type ExpressSession = ((
  options: object,
) => (
  request: IncomingMessage & { session: Record<string, unknown> & { destroy(done: () => void): void } },
  response: ServerResponse,
  next: () => void,
) => void) & { readonly Store: new () => object }
const { default: expressSession } = (await import('express-session' as string)) as { default: ExpressSession }
// Its types would change those of every request.session in this package.
const { default: fastifySession } = (await import('@fastify/session' as string)) as {
  default: FastifyPluginAsync<{ secret: string; cookie: object; store: object }>
}

let server: RealServer
let redis: GuardedRedis

t.before(async () => {
  server = await startRedis()
  redis = await guardOf(server)
})
t.teardown(async () => {
  await redis.close()
  await server.stop()
})

const storeOf = (more: Partial<CallbackStoreOptions> = {}) =>
  new CallbackStore({ redis, secrets: [secret('current')], ...more })

/** The answer of a method that calls back. */
function answerOf<Value>(ask: (callback: (error?: unknown, value?: Value) => void) => void) {
  return new Promise<Value | undefined>((resolve, reject) => {
    ask((error, value) => (error === null || error === undefined ? resolve(value) : reject(error)))
  })
}
const get = (store: CallbackStore, id: string) =>
  answerOf<StoredSession | null>((done) => store.get(id, done))
const set = (store: CallbackStore, id: string, session: object) =>
  answerOf<void>((done) => store.set(id, session, done))
const inMs = (ms: number) => ({ cookie: { expires: new Date(Date.now() + ms) } })

t.test('keeps a session to the millisecond, by a key that does not show its id', async (t) => {
  const store = storeOf()
  await set(store, 'secret-id', { ...inMs(60_500), user: 'ann' })
  t.match(await get(store, 'secret-id'), { user: 'ann' })
  const [key = ''] = (await askRedis(server.port, 'KEYS', '*')) as readonly string[]
  t.notOk(key.includes('secret-id'))
  const left = Number(await askRedis(server.port, 'PTTL', key))
  t.ok(left > 50_000 && left <= 60_500, `${left} ms`)
  await answerOf<void>((done) => store.touch('secret-id', inMs(90_500), done))
  t.ok(Number(await askRedis(server.port, 'PTTL', key)) > 60_500)
  t.equal(await get(store, 'unknown'), null)
  await set(store, 'browser', { cookie: { expires: null } })
  t.ok(await get(store, 'browser'))
  await set(store, 'old', inMs(-1))
  t.equal(await get(store, 'old'), null)
  await set(store, 'ends', inMs(60_000))
  await answerOf<void>((done) => store.touch('ends', inMs(-1), done))
  t.equal(await get(store, 'ends'), null)
})

t.test('brings nothing back that was destroyed', async (t) => {
  const store = storeOf()
  await set(store, 'a', inMs(60_000))
  await answerOf<void>((done) => store.destroy('a', done))
  await set(store, 'a', { ...inMs(60_000), user: 'ann' })
  t.equal(await get(store, 'a'), null)
  await answerOf<void>((done) => store.touch('a', inMs(60_000), done))
  t.equal(await get(store, 'a'), null)
  store.destroy('without a callback')
  store.set('without a callback', {})
  store.touch('without a callback', {})
})

t.test('finds sessions of the secret before, and refuses what does not fit', async (t) => {
  const both = storeOf({ secrets: [secret('next'), secret('current')], maxBytes: 200 })
  await set(storeOf(), 'b', { ...inMs(60_000), user: 'ann' })
  t.match(await get(both, 'b'), { user: 'ann' })
  await answerOf<void>((done) => both.touch('b', inMs(90_000), done))
  await t.rejects(set(both, 'c', { small: 1, big: 'x'.repeat(300) }), {
    code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
    message: /"big"/,
  })
  await t.rejects(set(storeOf({ maxBytes: 64, ttlMs: 5 }), 'c', { x: 'x'.repeat(64) }))
})

t.test('refuses wrong options', async (t) => {
  for (const options of [
    {},
    { redis: {} },
    { redis, secrets: ['short'] },
    { redis, secrets: [secret('a')], base: { prototype: {} } },
    { redis, secrets: [secret('a')], ttlMs: 0 },
    { redis, secrets: [secret('a')], ttl: 5 },
  ]) {
    t.throws(() => new CallbackStore(options as never), { code: 'HOLDFAST_ERR_REDIS_SESSION_OPTION' })
  }
})

t.test('@fastify/session works with it', async (t) => {
  const app = Fastify()
  await app.register(cookie)
  await app.register(fastifySession, {
    secret: secret('cookie'),
    cookie: { secure: false },
    store: storeOf(),
  })
  app.get('/', async (request) => {
    const session = request.session as unknown as { visits?: number }
    session.visits = (session.visits ?? 0) + 1
    return { visits: session.visits }
  })
  app.get('/out', async (request) => (request.session as unknown as { destroy(): Promise<void> }).destroy())
  const first = await app.inject('/')
  const cookies = Object.fromEntries(first.cookies.map(({ name, value }) => [name, value]))
  t.same((await app.inject({ url: '/', cookies })).json(), { visits: 2 })
  await app.inject({ url: '/out', cookies })
  t.same((await app.inject({ url: '/', cookies })).json(), { visits: 1 })
  await app.close()
})

t.test('express-session works with it', async (t) => {
  const middleware = expressSession({
    secret: secret('cookie'),
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 60_000 },
    store: storeOf({ base: expressSession.Store }),
  })
  const http = createServer((request, response) => {
    const own = request as Parameters<typeof middleware>[0]
    middleware(own, response, () => {
      if (request.url === '/out') {
        own.session.destroy(() => response.end('out'))
        return
      }
      own.session['visits'] = Number(own.session['visits'] ?? 0) + 1
      response.end(String(own.session['visits']))
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => http.close())
  const base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  const first = await fetch(base)
  const headers = { cookie: first.headers.get('set-cookie')?.split(';')[0] ?? '', connection: 'close' }
  t.equal(await first.text(), '1')
  t.equal(await (await fetch(base, { headers })).text(), '2')
  t.equal(await (await fetch(`${base}/out`, { headers })).text(), 'out')
  t.equal(await (await fetch(base, { headers })).text(), '1')
  http.closeAllConnections()
})
