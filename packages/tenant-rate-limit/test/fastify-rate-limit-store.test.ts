import rateLimit, { type RateLimitPluginOptions } from '@fastify/rate-limit'
import { GuardedRedis } from '@holdfast/redis-guard'
import { HandClock, startRedis } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { DenyCache } from '../src/deny-cache.ts'
import { LocalFallback } from '../src/fallback.ts'
import { type FastifyRateLimitStoreOptions, fastifyRateLimitStore } from '../src/index.ts'
import { RateLimiter } from '../src/limiter.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { RedisStore } from '../src/redis-store.ts'

interface World {
  readonly app: FastifyInstance
  readonly clock: HandClock
  /** `status remaining/reset` of a request, and what it was told to wait. */
  ask(url?: string, key?: string, method?: 'GET' | 'HEAD'): Promise<string>
  /** Of so many requests. */
  often(times: number, url?: string): Promise<readonly string[]>
}

type Options = Omit<RateLimitPluginOptions, 'store'> & { readonly routes?: Readonly<Record<string, object>> }

/** An application that limits by the header `x-key`, in memory, by a clock that is moved by hand. */
async function world(
  t: Test,
  options: Options,
  store: Partial<FastifyRateLimitStoreOptions> = {},
): Promise<World> {
  const clock = new HandClock()
  const limiter = new RateLimiter({ store: new MemoryStore({ clock }), clock })
  const { routes = { '/': {} }, ...settings } = options
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(rateLimit, {
    keyGenerator: (request) => String(request.headers['x-key']),
    ...settings,
    store: fastifyRateLimitStore({ limiter, ...store }),
  })
  for (const [url, config] of Object.entries(routes)) app.get(url, { config }, async () => 'ok')
  const ask: World['ask'] = async (url = '/', key = 'a', method = 'GET') => {
    const { statusCode, headers } = await app.inject({ method, url, headers: { 'x-key': key } })
    const told = `${statusCode} ${headers['x-ratelimit-remaining']}/${headers['x-ratelimit-reset']}`
    return headers['retry-after'] === undefined ? told : `${told} ${headers['retry-after']}`
  }
  const often: World['often'] = async (times, url) => {
    const told: string[] = []
    for (let time = 0; time < times; time += 1) told.push(await ask(url))
    return told
  }
  return { app, clock, ask, often }
}

t.test('max and timeWindow are a bucket, and the headers tell what is left of it', async (t) => {
  const { clock, ask, often } = await world(t, { max: 3, timeWindow: '30 seconds' })
  t.strictSame(await often(5), ['200 2/10', '200 1/20', '200 0/30', '429 0/10 10', '429 0/10 10'])
  t.equal(await ask('/', 'b'), '200 2/10', 'another client has his own')
  await clock.advance(9999)
  t.equal(await ask(), '429 0/1 1')
  await clock.advance(1)
  t.strictSame(await often(2), ['200 0/30', '429 0/10 10'], 'one comes back each tenth of a minute')
  await clock.advance(60_000)
  t.equal(await ask(), '200 2/10')
})

t.test('with strict no window sees more than max', async (t) => {
  const { clock, often } = await world(t, { max: 4, timeWindow: 60_000 }, { strict: true })
  let passed = 0
  for (let second = 0; second < 60; second += 1) {
    passed += (await often(4)).filter((told) => told.startsWith('200')).length
    await clock.advance(999)
  }
  t.equal(passed, 4)
})

t.test('routes with limits of their own have buckets of their own, and groups share theirs', async (t) => {
  const group = { rateLimit: { max: 2, groupId: 'g' } }
  const long = `/${'x'.repeat(100)}`
  const { ask } = await world(t, {
    max: 1,
    timeWindow: 60_000,
    routes: {
      '/': {},
      '/too': {},
      '/own': { rateLimit: { max: 1 } },
      [long]: { rateLimit: {} },
      '/g1': group,
      '/g2': group,
    },
  })
  const status = async (url: string, method?: 'HEAD') => Number((await ask(url, 'a', method)).slice(0, 3))
  t.strictSame([await status('/'), await status('/too')], [200, 429], 'without a setting they share one')
  t.strictSame([await status('/own'), await status('/own')], [200, 429])
  t.strictSame([await status(long), await status(long, 'HEAD')], [200, 429], 'HEAD counts as GET')
  t.strictSame([await status('/g1'), await status('/g2'), await status('/g1')], [200, 200, 429])
})

t.test('limits can be functions of the request', async (t) => {
  const { ask, often } = await world(t, {
    max: (_request, key) => ({ a: 2, b: 1, none: 0, half: 1.5 })[key] ?? Number.NaN,
    timeWindow: (_request, key) => (key === 'b' ? 120_000 : 60_000),
  })
  t.strictSame(await often(3), ['200 1/30', '200 0/60', '429 0/30 30'])
  t.equal(await ask('/', 'b'), '200 0/120')
  t.equal(await ask('/', 'b'), '429 0/120 120')
  t.equal(await ask('/', 'none'), '429 0/60 60', 'nobody passes a limit of 0')
  t.equal(await ask('/', 'half'), '200 0/60')
  t.match(await ask('/', 'half'), /^429/)
  t.match(await ask('/', 'wrong'), /^500/)
})

t.test('more different limits than are kept compiled', async (t) => {
  let max = 0
  const { ask } = await world(t, { max: () => ++max, timeWindow: 60_000 })
  for (let time = 0; time < 1100; time += 1) await ask('/', `client-${time}`)
  t.equal(await ask(), '200 1100/1')
})

t.test('a window of 0 limits nobody', async (t) => {
  const { often } = await world(t, { max: 1, timeWindow: 0 })
  t.strictSame(await often(2), ['200 0/0', '200 0/0'])
})

t.test('very long windows', async (t) => {
  const { ask } = await world(t, { max: 2, timeWindow: 200 * 86_400_000 + 1 })
  t.match(await ask(), /^200 1/)
})

t.test('a limit that is none fails where it is registered', async (t) => {
  const refused = { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY' }
  await t.rejects(world(t, { max: 1, timeWindow: 400 * 86_400_000 }), refused)
  const { app } = await world(t, { max: 1, timeWindow: 1000 })
  t.throws(
    () => app.get('/wrong', { config: { rateLimit: { timeWindow: '2 years' } } }, async () => 'ok'),
    refused,
  )
})

t.test('wrong options are refused, with what was received', async (t) => {
  const limiter = { decide: () => t.fail() }
  for (const [options, message] of [
    [undefined, /"options" must be an object/],
    [{}, /"limiter" must be an object/],
    [{ limiter: {} }, /"limiter" must be an object with decide/],
    [{ limiter, name: 'a:b' }, /"name" must be letters, digits, _ and -, received "a:b"/],
    [{ limiter, strict: 'yes' }, /"strict" must be true or false/],
    [{ limiter, onStoreLoss: 'ask' }, /"onStoreLoss" must be 'local' or 'open' or 'closed'/],
    [{ limiter, window: 5 }, /"window" must be left out/],
  ] as const) {
    t.throws(() => fastifyRateLimitStore(options as never), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION',
      message,
    })
  }
})

t.test('looking takes nothing, and says when nothing is left', async (t) => {
  const { app } = await world(t, { max: 2, timeWindow: 60_000, global: false })
  const limit = app.createRateLimit({})
  const other = app.createRateLimit({})
  app.get('/look', async (request) => limit(request, { increment: false }))
  app.get('/take', async (request) => limit(request))
  app.get('/other', async (request) => other(request))
  const see = async (url: string) => {
    const { remaining, isExceeded } = (await app.inject({ url, headers: { 'x-key': 'a' } })).json()
    return `${remaining} ${isExceeded}`
  }
  t.strictSame([await see('/look'), await see('/look')], ['2 false', '2 false'])
  t.strictSame([await see('/take'), await see('/look')], ['1 false', '1 false'])
  t.strictSame([await see('/take'), await see('/look'), await see('/take')], ['0 false', '0 true', '0 true'])
  t.equal(await see('/other'), '1 false', 'each has its own buckets')
})

t.test('looking with a window or a limit of 0', async (t) => {
  const { app } = await world(t, { max: 2, timeWindow: 0, global: false })
  const limit = app.createRateLimit({})
  app.get('/look', async (request) => limit(request, { increment: false }))
  t.match((await app.inject('/look')).json(), { remaining: 2, isExceeded: false })
})

t.test('after so many refusals a client is banned for a window', async (t) => {
  const { clock, often, ask } = await world(t, { max: 1, timeWindow: 60_000, ban: 2 })
  t.strictSame(await often(5), ['200 0/60', '429 0/60 60', '429 0/60 60', '403 0/60 60', '403 0/60 60'])
  await clock.advance(59_999)
  t.equal(await ask(), '403 0/1 1')
  await clock.advance(1)
  t.equal(await ask(), '200 0/60')
  t.equal(await ask('/', 'b'), '200 0/60', 'nobody else is')
})

t.test('a ban of 0 follows the first refusal', async (t) => {
  const { often } = await world(t, { max: 1, timeWindow: 60_000, ban: 0 })
  t.strictSame(await often(3), ['200 0/60', '403 0/60 60', '403 0/60 60'])
})

t.test('with continueExceeding every refused request begins the window anew', async (t) => {
  const { clock, often, ask } = await world(t, { max: 2, timeWindow: 60_000, continueExceeding: true })
  t.strictSame(await often(3), ['200 1/30', '200 0/60', '429 0/60 60'])
  for (let time = 0; time < 3; time += 1) {
    await clock.advance(50_000)
    t.equal(await ask(), '429 0/60 60')
  }
  await clock.advance(60_000)
  t.equal(await ask(), '200 1/30')
})

t.test('with exponentialBackoff every refused request doubles the wait, up to a day', async (t) => {
  const { clock, often, ask } = await world(t, { max: 1, timeWindow: 10_000, exponentialBackoff: true })
  t.strictSame(await often(4), ['200 0/10', '429 0/10 10', '429 0/20 20', '429 0/40 40'])
  await clock.advance(39_999)
  t.equal(await ask(), '429 0/10 10', 'at least a window')
  await clock.advance(10_000)
  t.equal(await ask(), '200 0/10')
  const last = (await often(30)).at(-1)
  t.equal(last, '429 0/86400 86400')
})

t.test('a window longer than the longest wait', async (t) => {
  const { often } = await world(t, { max: 1, timeWindow: 20 * 86_400_000, exponentialBackoff: true })
  const longest = 1_000_000
  t.strictSame(await often(4), [
    '200 0/1728000',
    `429 0/1728000 1728000`,
    `429 0/${longest} ${longest}`,
    `429 0/${longest} ${longest}`,
  ])
})

t.test('looking at who has to stay away changes nothing', async (t) => {
  const { app, clock } = await world(t, {
    max: 1,
    timeWindow: 60_000,
    ban: 1,
    exponentialBackoff: true,
    global: false,
  })
  const limit = app.createRateLimit({})
  app.get('/look', async (request) => limit(request, { increment: false }))
  app.get('/take', async (request) => limit(request))
  const see = async (url: string) => (await app.inject({ url, headers: { 'x-key': 'a' } })).json()
  t.match(await see('/look'), { isExceeded: false, isBanned: false })
  await see('/take')
  t.match(await see('/look'), { isExceeded: true, isBanned: false })
  t.match(await see('/take'), { isExceeded: true, isBanned: false, ttl: 60_000 })
  t.match(await see('/take'), { isExceeded: true, isBanned: true, ttl: 120_000 })
  for (const _ of [1, 2, 3]) t.match(await see('/look'), { isExceeded: true, isBanned: true, ttl: 120_000 })
  await clock.advance(120_000)
  t.match(await see('/look'), { isExceeded: false, isBanned: false })
})

t.test('an error of a limiter without a fallback is that of the request', async (t) => {
  const lost = { decide: () => Promise.reject(new Error('lost')) }
  for (const settings of [{}, { ban: 1 }]) {
    const { ask } = await world(t, { max: 1, timeWindow: 1000, ...settings }, { limiter: lost })
    t.match(await ask(), /^500/)
  }
})

t.test('in Redis', async (t) => {
  const server = await startRedis()
  const redis = new GuardedRedis({ url: server.directUrl, budgetMs: 5000 })
  t.teardown(async () => {
    await redis.close()
    await server.stop()
  })
  await redis.ready(10_000)
  const clock = new HandClock()
  const limiterOf = () =>
    new RateLimiter({
      store: new RedisStore(redis),
      clock,
      denyCache: new DenyCache(),
      fallback: new LocalFallback({ clock }),
    })

  await t.test('processes share buckets and bans', async (t) => {
    const options = { max: 2, timeWindow: 3_600_000, ban: 1 }
    const [one, two] = [
      await world(t, options, { limiter: limiterOf() }),
      await world(t, options, { limiter: limiterOf() }),
    ]
    t.match(await one.ask(), /^200 1/)
    t.match(await two.ask(), /^200 0/)
    t.match(await one.ask(), /^429/)
    t.match(await two.ask(), /^403/)
    t.match(await one.ask(), /^403/)
  })

  await t.test('registrations with names of their own share nothing', async (t) => {
    const options = { max: 1, timeWindow: 3_600_000 }
    for (const name of ['first', 'second']) {
      const { ask } = await world(t, options, { limiter: limiterOf(), name })
      t.match(await ask(), /^200/)
      t.match(await ask(), /^429/)
    }
  })

  await t.test('while it is lost, each store does what it was told', async (t) => {
    await server.kill9()
    const options = { max: 2, timeWindow: 3_600_000 }
    const { often: local } = await world(t, options, { limiter: limiterOf() })
    t.ok((await local(5)).filter((told) => told.startsWith('200')).length <= 2)
    const { often: open } = await world(t, options, { limiter: limiterOf(), onStoreLoss: 'open' })
    for (const told of await open(5)) t.match(told, /^200 0/, 'and claims nothing')
    for (const settings of [{}, { ban: 5 }]) {
      const { often: closed } = await world(
        t,
        { ...options, ...settings },
        { limiter: limiterOf(), onStoreLoss: 'closed' },
      )
      for (const told of await closed(2)) t.match(told, /^429 0\/5 5$/)
    }
  })
})
