import { GuardedRedis } from '@holdfast/redis-guard'
import { HandClock, startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import abuseGuard, { type AdminOptions } from '../src/index.ts'
import { RedisStore } from '../src/redis-store.ts'

const token = { authorization: 'Bearer operator' }
const byToken = ({ headers }: FastifyRequest) => headers.authorization === token.authorization

async function appWithRoutes(t: Test, admin: AdminOptions<FastifyRequest> = { authorize: byToken }) {
  const clock = new HandClock()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(abuseGuard, { admin, clock, seed: 1, allow: ['10.0.0.1'] })
  app.get('/', async () => 'ok')
  return { app, clock }
}

const routes = [
  ['GET', '/blocks'],
  ['POST', '/blocks'],
  ['DELETE', '/blocks/192.0.2.1'],
  ['GET', '/addresses'],
  ['GET', '/addresses/192.0.2.1'],
  ['GET', '/users'],
  ['DELETE', '/users/alice'],
] as const

t.test('without authorize nobody may use the routes', async (t) => {
  const { app } = await appWithRoutes(t, {})
  for (const [method, path] of routes) {
    const answer = await app.inject({ method, url: `/admin/abuse${path}`, headers: token })
    t.match(
      [answer.statusCode, answer.json().code],
      [403, 'HOLDFAST_ERR_ABUSE_GUARD_FORBIDDEN'],
      `${method} ${path}`,
    )
  }
})

t.test('without credentials the answer is 401, with wrong ones 403', async (t) => {
  const { app } = await appWithRoutes(t)
  for (const [method, path] of routes) {
    const anonymous = await app.inject({ method, url: `/admin/abuse${path}` })
    t.match([anonymous.statusCode, anonymous.json().code], [401, 'HOLDFAST_ERR_ABUSE_GUARD_UNAUTHENTICATED'])
    const headers = { authorization: 'Bearer guess' }
    t.equal((await app.inject({ method, url: `/admin/abuse${path}`, headers })).statusCode, 403)
  }
})

t.test('without the option there are no routes', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(abuseGuard)
  t.equal((await app.inject('/admin/abuse/blocks')).statusCode, 404)
})

t.test('an operator blocks, sees, explains and unblocks', async (t) => {
  const { app, clock } = await appWithRoutes(t)
  const call = async (method: 'GET' | 'POST' | 'DELETE', path: string, payload?: object) => {
    const answer = await app.inject({
      method,
      url: `/admin/abuse${path}`,
      headers: token,
      ...(payload !== undefined && { payload }),
    })
    return [answer.statusCode, answer.json()]
  }
  const made = {
    address: '2001:db8:1::/48',
    reason: 'scraping',
    origin: 'manual',
    since: new Date(clock.wallMs()).toISOString(),
    until: new Date(clock.wallMs() + 60_000).toISOString(),
    retry_after: 60,
    offences: 0,
    refused: 0,
    shared: false,
  }
  const given = { address: '2001:db8:1::/48', duration_ms: 60_000, reason: 'scraping' }
  t.same(await call('POST', '/blocks', given), [201, made])
  t.match(await call('POST', '/blocks', { address: '192.0.2.1' }), [201, { retry_after: 900 }])
  t.match(await call('GET', '/blocks'), [
    200,
    { items: [{ address: '2001:db8:1::/48' }, { address: '192.0.2.1' }], next_cursor: null },
  ])
  t.match(await call('GET', '/addresses/2001:db8:1:2::3'), [
    200,
    {
      address: '2001:db8:1:2::/64',
      allowed: false,
      block: made,
      doubt: null,
      counts: [{ most: 100 }, {}, {}],
    },
  ])
  t.match(await call('GET', '/addresses/198.51.100.1'), [200, { block: null }])
  t.same(await call('DELETE', '/blocks/2001%3Adb8%3A1%3A%3A%2F48'), [
    200,
    { unblocked: ['2001:db8:1::/48'], shared: false },
  ])
  t.match(await call('DELETE', '/blocks/2001:db8:1::'), [404, { code: 'HOLDFAST_ERR_ABUSE_GUARD_UNKNOWN' }])
  t.match(await call('GET', '/blocks'), [200, { items: [{ address: '192.0.2.1' }] }])
  t.match(await call('GET', '/addresses'), [200, { items: [{ address: '127.0.0.1' }], next_cursor: null }])
})

t.test('a block that only others know of is ended, and one that nobody knows of is not found', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const redis = new GuardedRedis({ url: server.url, budgetMs: 2000 })
  t.teardown(() => redis.close())
  const app = Fastify()
  t.teardown(() => app.close())
  await redis.ready(10_000)
  await app.register(abuseGuard, { redis, admin: { authorize: byToken } })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const free = async (address: string) => {
    const url = `${base}/admin/abuse/blocks/${address}`
    const answer = await fetch(url, { method: 'DELETE', headers: token })
    return [answer.status, await answer.json()]
  }
  // Another process made it, and it is over before anybody can read of it: what counts for the next one is left.
  const policy = { blockMs: 1, maxBlockMs: 1, decayMs: 86_400_000 }
  const other = new RedisStore(redis, policy, 100)
  await other.punish('192.0.2.1', 'x')
  t.same(await free('192.0.2.1'), [200, { unblocked: ['192.0.2.1'], shared: true }])
  t.match(await other.punish('192.0.2.1', 'x'), { offences: 1 })
  t.match(await free('192.0.2.2'), [404, { code: 'HOLDFAST_ERR_ABUSE_GUARD_UNKNOWN' }])

  server.blackhole()
  await waitUntil(async () => {
    await redis.call('PING').catch(() => undefined)
    return !redis.available
  })
  t.same(await free('192.0.2.3'), [202, { unblocked: [], shared: false }], 'the others are told later')
  t.match(app.abuseGuard.snapshot().fleet, { pendingOrders: 1 })
  await server.heal()
  await waitUntil(() => app.abuseGuard.snapshot().fleet?.pendingOrders === 0, { timeoutMs: 30_000 })
})

t.test('what an operator mistypes is refused with a code', async (t) => {
  const { app } = await appWithRoutes(t)
  const post = async (payload: object | string) => {
    const headers = { ...token, 'content-type': 'application/json' }
    const answer = await app.inject({ method: 'POST', url: '/admin/abuse/blocks', headers, payload })
    return [answer.statusCode, answer.json().code]
  }
  t.same(await post({ address: 'x' }), [400, 'HOLDFAST_ERR_ABUSE_GUARD_ADDRESS'])
  t.same(await post({}), [400, 'HOLDFAST_ERR_ABUSE_GUARD_ADDRESS'])
  t.same(await post('[]'), [400, 'HOLDFAST_ERR_ABUSE_GUARD_INPUT'])
  t.same(await post({ address: '192.0.2.1', duration_ms: 'long' }), [400, 'HOLDFAST_ERR_ABUSE_GUARD_INPUT'])
  // A mistyped time would block for the usual one.
  t.same(await post({ address: '192.0.2.1', duration: 1000 }), [400, 'HOLDFAST_ERR_ABUSE_GUARD_INPUT'])
  t.same(await post({ address: '192.0.2.1', reason: 5 }), [400, 'HOLDFAST_ERR_ABUSE_GUARD_INPUT'])
  t.same(await post({ address: '10.0.0.1' }), [409, 'HOLDFAST_ERR_ABUSE_GUARD_ALLOWED'])
  t.equal((await post({ address: '192.0.2.1', reason: 'x'.repeat(5000) }))[0], 413)
  for (const query of ['limit=0', 'limit=101', 'limit=x', 'cursor=-1', 'cursor=1.5', 'limits=5']) {
    const answer = await app.inject({ url: `/admin/abuse/blocks?${query}`, headers: token })
    t.match([answer.statusCode, answer.json().code], [400, 'HOLDFAST_ERR_ABUSE_GUARD_INPUT'], query)
  }
})

t.test('a long list comes in pages', async (t) => {
  const { app } = await appWithRoutes(t)
  for (let at = 0; at < 45; at += 1) await app.abuseGuard.block(`192.0.2.${at}`)
  const seen = new Set<string>()
  let cursor: string | null = '0'
  const sizes: number[] = []
  while (cursor !== null) {
    const answer = await app.inject({ url: `/admin/abuse/blocks?cursor=${cursor}`, headers: token })
    const page = answer.json() as { items: { address: string }[]; next_cursor: string | null }
    for (const { address } of page.items) seen.add(address)
    sizes.push(page.items.length)
    cursor = page.next_cursor
  }
  t.same(sizes, [20, 20, 5])
  t.equal(seen.size, 45)
})

t.test('an operator whose address is blocked still gets through to unblock it', async (t) => {
  const { app } = await appWithRoutes(t)
  await app.abuseGuard.block('127.0.0.1')
  t.equal((await app.inject('/')).statusCode, 429)
  t.equal((await app.inject('/admin/abuse/blocks')).statusCode, 401, 'others learn nothing')
  const answer = await app.inject({ method: 'DELETE', url: '/admin/abuse/blocks/127.0.0.1', headers: token })
  t.equal(answer.statusCode, 200)
  t.equal((await app.inject('/')).statusCode, 200)
})

t.test('flagged users are listed and pardoned', async (t) => {
  const { app, clock } = await appWithRoutes(t, { prefix: '/ops', authorize: async () => true })
  app.abuseGuard.flag('alice@example.org', 'charge back')
  const list = await app.inject('/ops/users')
  t.same(list.json(), {
    flagged: [
      {
        user: 'alice@example.org',
        reason: 'charge back',
        events: 0,
        since: new Date(clock.wallMs()).toISOString(),
      },
    ],
    users: 0,
    max_events: 50,
    window_ms: 300_000,
  })
  const pardon = { method: 'DELETE', url: '/ops/users/alice%40example.org' } as const
  t.equal((await app.inject(pardon)).statusCode, 200)
  t.equal((await app.inject(pardon)).statusCode, 404)
})
