/* What an attacker may try against sessions themselves, each with the answer it gets. */
import diagnostics from 'node:diagnostics_channel'
import type { GuardedRedis } from '@holdfast/redis-guard'
import { askRedis, type RealServer, startRedis } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { redisSession } from '../src/index.ts'
import { SecretRing } from '../src/secret-ring.ts'
import { mintId } from '../src/session-id.ts'
import { Browser, CommandCount, guardOf, secret, secrets, sessionApp } from './session-app.ts'

let server: RealServer
let guards: GuardedRedis[]
let one: FastifyInstance
let two: FastifyInstance

t.before(async () => {
  server = await startRedis()
  guards = [await guardOf(server, 5000, 50), await guardOf(server, 5000, 50)]
  one = await sessionApp({ redis: guards[0], secrets })
  two = await sessionApp({ redis: guards[1], secrets })
})
t.teardown(async () => {
  await one.close()
  await two.close()
  for (const guard of guards) await guard.close()
  await server.stop()
})

const cookieOf = (browser: Browser) => browser.cookies.get('sid') ?? ''
const withCookie = (app: FastifyInstance, sid: string) => new Browser(app, new Map([['sid', sid]]))
const sessionKeys = async () => ((await askRedis(server.port, 'KEYS', '*:s:*')) as readonly string[]).length

t.test('fixation: an id that the attacker knows is never the one of the victim', async (t) => {
  const attacker = new Browser(one)
  await attacker.post('/data', { planted: 1 })
  const planted = cookieOf(attacker)
  const before = await sessionKeys()
  const victim = withCookie(one, planted)
  await victim.post('/login', { userId: 'victim' })
  t.not(cookieOf(victim), planted)
  t.equal((await withCookie(two, planted).get('/me')).statusCode, 401, 'on the other process, too')
  t.same((await victim.get('/data/planted')).json(), { value: null })
  t.equal(await sessionKeys(), before, 'one took the place of the other')
  for (let again = 0; again < 2; again += 1) {
    const old = cookieOf(victim)
    await victim.post('/elevate')
    t.not(cookieOf(victim), old)
    t.equal((await withCookie(two, old).get('/me')).statusCode, 401)
  }
  t.equal(await sessionKeys(), before)
})

t.test('an id that was minted, of a session that is not there, is never taken over', async (t) => {
  const ring = new SecretRing([secret('current')])
  const unknown = mintId(ring.current, (size) => Buffer.alloc(size, 7))
  const browser = withCookie(one, unknown.text)
  t.equal((await browser.get('/me')).statusCode, 401)
  const again = withCookie(one, unknown.text)
  await again.post('/read-and-write', { a: 1 })
  await again.post('/data', { a: 1 })
  t.equal((await withCookie(two, unknown.text).get('/me')).statusCode, 401)
  t.same((await withCookie(two, unknown.text).get('/data/a')).json(), { value: null })
  t.notOk(again.cookies.get('sid') === unknown.text)
})

t.test('tossing: with a second cookie of our name there is none, of either of the two', async (t) => {
  const browser = new Browser(one)
  await browser.post('/login', { userId: 'ann' })
  const sid = cookieOf(browser)
  const attacker = new Browser(one)
  await attacker.post('/login', { userId: 'attacker' })
  const odd: unknown[] = []
  const listener = (event: unknown) => odd.push((event as { what: string }).what)
  diagnostics.subscribe('holdfast:redis-session:oddity', listener)
  for (const cookie of [
    `sid=${cookieOf(attacker)}; sid=${sid}`,
    `sid=${sid}; a=1; sid=${cookieOf(attacker)}`,
  ]) {
    t.equal((await new Browser(one).get('/me', { cookie })).statusCode, 401)
  }
  diagnostics.unsubscribe('holdfast:redis-session:oddity', listener)
  t.same(odd, ['duplicate-cookie', 'duplicate-cookie'])
  const secure = await sessionApp({ cookie: {} })
  const https = new Browser(secure)
  await https.post('/login', { userId: 'ann' })
  t.match(https.setCookies, [/^__Host-Http-sid=[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/])
  await secure.close()
})

t.test('guessing: what was not minted here costs Redis nothing', async (t) => {
  const browser = new Browser(one)
  await browser.post('/login', { userId: 'ann' })
  const sid = cookieOf(browser)
  const count = new CommandCount(server)
  await count.restart()
  const places = Array.from({ length: sid.length }, (_, at) => at)
  // The last of the signature's characters says two bits only: of the others none may be another one.
  for (const at of places.slice(0, -1)) {
    const forged = `${sid.slice(0, at)}${sid[at] === 'A' ? 'B' : 'A'}${sid.slice(at + 1)}`
    t.equal((await withCookie(one, forged).get('/me')).statusCode, 401)
  }
  const garbage = [
    'v1',
    'x'.repeat(92),
    `${sid}x`,
    sid.slice(1),
    'a'.repeat(7000),
    '%00',
    '"',
    '$(id)',
    '__proto__',
  ]
  for (const text of garbage) t.equal((await withCookie(one, text).get('/me')).statusCode, 401)
  t.equal(
    (await new Browser(one).get('/me', { cookie: `sid=${sid}; pad=${'x'.repeat(9000)}` })).statusCode,
    401,
  )
  t.same(await count.calls(), {}, 'a header that is too long is not read either')
  t.equal((await browser.get('/me')).statusCode, 200)
})

t.test('pollution: no name of a field can be mistaken for something else', async (t) => {
  const browser = new Browser(one)
  await browser.post('/login', { userId: 'ann' })
  for (const name of [
    'constructor',
    'prototype',
    'save',
    'user',
    'roles',
    'toString',
    'hasOwnProperty',
    'a.b',
    'd:a',
  ]) {
    const answer = await browser.post('/data', { [name]: { polluted: 1 } })
    t.match(answer.json(), { statusCode: 500, code: 'HOLDFAST_ERR_REDIS_SESSION_DATA' }, name)
  }
  // As a body is read by Fastify, this one does not arrive at all.
  const answer = await one.inject({
    method: 'POST',
    url: '/data',
    headers: { cookie: `sid=${cookieOf(browser)}`, 'content-type': 'application/json' },
    payload: '{"__proto__":{"polluted":1}}',
  })
  t.equal(answer.statusCode, 400)
  t.equal(({} as { polluted?: number }).polluted, undefined)
  t.equal((await browser.get('/data/__proto__')).statusCode, 500)
})

t.test('names: whoever a user says he is, his keys are hashes, and nobody else has them', async (t) => {
  const names = [
    '*',
    'a:b',
    '{x}',
    '../../etc',
    '%00',
    'ann\n',
    'ANN',
    'ann ',
    'änn',
    '\u202eann',
    'x'.repeat(128),
  ]
  for (const userId of names) {
    const browser = new Browser(one)
    t.equal((await browser.post('/login', { userId })).statusCode, 200)
    t.equal((await two.redisSession.list(userId)).length, 1, JSON.stringify(userId))
  }
  for (const key of (await askRedis(server.port, 'KEYS', '*')) as readonly string[]) {
    t.match(key, /^hf:redis-session:\{(?:[0-9a-f]{4}\}:[sugm]:[\w-]{32}|a[0-9a-f]\}:(?:users|nobody))$/)
  }
  for (const userId of names) t.equal(await two.redisSession.revokeAll(userId), 1)
  t.equal((await new Browser(one).post('/login', { userId: 'x'.repeat(129) })).statusCode, 500)
})

t.test('leaks: no id, cookie or name is in what is logged, told, counted or answered', async (t) => {
  const lines: string[] = []
  const registry = new Registry()
  const app = Fastify({ logger: { level: 'trace', stream: { write: (line) => lines.push(line) } } })
  await app.register(redisSession, { redis: guards[0], secrets, registry, cookie: { secure: false } })
  app.post('/login', async ({ session }) => {
    await session.login({ userId: 'canary-user', roles: ['canary-role'] })
    session.set('note', 'canary-note')
  })
  app.post('/fail', async ({ session }) => {
    await session.load()
    session.set('large', 'canary-note'.repeat(10_000))
  })
  app.post('/me', { config: { redisSession: { fresh: true } } }, async () => 'fresh')
  const told: unknown[] = []
  const listener = (event: unknown) => told.push(event)
  const channels = ['elevate', 'logout', 'oddity', 'outage'].map((name) => `holdfast:redis-session:${name}`)
  for (const channel of channels) diagnostics.subscribe(channel, listener)
  const browser = new Browser(app)
  await browser.post('/login')
  const { sid = '', sidf = '' } = Object.fromEntries(browser.cookies)
  const failed = await browser.post('/fail')
  t.equal(failed.statusCode, 500)
  await app.redisSession.revokeAll('canary-user')
  const refused = await browser.post('/me')
  t.equal(refused.statusCode, 401)
  for (const channel of channels) diagnostics.unsubscribe(channel, listener)
  const all = [
    ...lines,
    failed.body,
    refused.body,
    JSON.stringify(told),
    JSON.stringify(app.redisSession.snapshot()),
    await registry.metrics(),
  ].join('\n')
  t.ok(lines.length > 4)
  const secretParts = [...sid.split('.').slice(3), ...sidf.split('.').slice(2), ...secrets]
  for (const canary of [...secretParts, 'canary-user', 'canary-role', 'canary-note']) {
    t.notOk(all.includes(canary), canary.slice(0, 12))
  }
  await app.close()
})

t.test('caches: an answer for everybody has no cookie, and one that has is for nobody else', async (t) => {
  const app = await sessionApp({ redis: guards[0], secrets, touchEveryMs: 0 })
  app.get('/theme', async ({ session }, reply) => {
    await session.load()
    return reply.header('cache-control', 'public, max-age=300').send('theme')
  })
  app.get('/off-theme', { config: { redisSession: false } }, async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=300').send('theme'),
  )
  const browser = new Browser(app)
  const answer = await browser.post('/login', { userId: 'ann' })
  t.match(answer.headers, { 'cache-control': 'private, no-store', vary: 'Cookie' })
  const count = new CommandCount(server)
  await count.restart()
  await browser.get('/off-theme')
  t.same(await count.calls(), {}, 'whoever asks')
  const states = [browser, new Browser(app), withCookie(app, 'garbage'), withCookie(app, mintedElsewhere())]
  for (const state of states) {
    for (const url of ['/theme', '/off-theme']) {
      t.equal((await state.get(url)).headers['set-cookie'], undefined)
    }
  }
  await app.close()
})

function mintedElsewhere(): string {
  return mintId(new SecretRing([secret('elsewhere')]).current, (size) => Buffer.alloc(size, 1)).text
}

t.test('outage: breaking Redis gives nobody more than he had', async (t) => {
  const ann = new Browser(one)
  await ann.post('/login', { userId: 'ann', roles: ['user', 'admin'] })
  const ben = new Browser(one)
  await ben.post('/login', { userId: 'ben' })
  const heal = guards.map((guard) => guard.breaker.isolate('an attacker'))
  t.same((await ann.get('/me')).json().roles, ['user'], 'no rights of an administrator')
  t.equal((await ann.get('/fresh')).statusCode, 503, 'nothing that wants a proof')
  t.equal((await ann.post('/elevate')).statusCode, 503)
  const mixed = new Map([
    ['sid', ben.cookies.get('sid') ?? ''],
    ['sidf', ann.cookies.get('sidf') ?? ''],
  ])
  t.equal((await new Browser(one, mixed).get('/me')).statusCode, 503, 'no cookie of another')
  const swapped = new Map([['sid', ann.cookies.get('sidf') ?? '']])
  t.equal((await new Browser(one, swapped).get('/me')).statusCode, 401, 'no cookie in place of another')
  for (const end of heal) end()
  for (const guard of guards) await guard.ready(10_000)
  t.equal((await new Browser(one, mixed).get('/me')).json().userId, 'ben', 'and Redis decides again')
})
