// The limits of REQUIREMENTS on the service: of users, of a group of routes, of tenants' themes, of addresses.

import { Policies } from '@holdfast/tenant-rate-limit'
import { askRedis, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { loadConfig } from '../src/config.ts'
import { BotClient } from './bot-client.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(120_000)

const TRADER = 'acme/trader@acme.example'
const SECOND = 'acme/second-trader@acme.example'
const ADMIN = 'acme/admin@acme.example'

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const url = environment['DATABASE_URL'] ?? (await demoDatabase(postgres.directUrl))
  const service = await ServiceApp.start(t, { DATABASE_URL: url, ...environment })
  const as = (user?: string, headers?: Record<string, string>) =>
    new BotClient({ url: service.url, databaseUrl: url }, user, headers)
  const theme = (tenant = 'acme', headers: Record<string, string> = {}) =>
    fetch(`${service.url}/${tenant}/api/public/load-theme`, { headers })
  return { service, as, theme, url }
}

/** How many of so many requests in a row are answered with 429. */
async function refusals(requests: number, ask: () => Promise<{ readonly status: number }>): Promise<number> {
  let refused = 0
  for (let turn = 0; turn < requests; turn += 1) if ((await ask()).status === 429) refused += 1
  return refused
}

t.test('a user may start 10 times a minute, and look 30 times', async (t) => {
  const { as } = await setUp(t)
  const trader = as(TRADER)
  // What is refused for another reason has been asked for, too.
  const allowed = await trader.start('999')
  t.match(allowed, { status: 404 })
  t.equal(allowed.headers.get('x-rate-limit-remaining'), '9')
  t.match(allowed.headers.get('x-rate-limit-reset'), /^\d+$/)
  t.match(allowed.headers.get('ratelimit-policy'), /"bot-start";q=10;w=60/)
  t.equal(await refusals(9, () => trader.start('999')), 0)
  let refused = await trader.start('999')
  // One more every six seconds: this machine may need longer for ten.
  while (refused.status === 404) refused = await trader.start('999')
  t.match(refused, {
    status: 429,
    body: {
      status: 429,
      error: 'too_many_requests',
      retry_after: Number,
      'violated-policies': ['bot-start'],
    },
  })
  t.match(refused.headers.get('content-type'), /^application\/problem\+json/)
  t.equal(refused.headers.get('retry-after'), String(refused.body['retry_after']))
  t.equal(refused.headers.get('x-rate-limit-remaining'), '0')
  t.match(await trader.stop('999'), { status: 404 }, 'stops are counted apart')
  t.match(await as(SECOND).start('999'), { status: 404 }, 'and so are other users')
  const askedMs = performance.now()
  let looks = 0
  while ((await trader.status()).status === 200) looks += 1
  const comesBack = Math.ceil((performance.now() - askedMs) / 2000)
  t.ok(looks >= 30 && looks <= 30 + comesBack, `${looks} looks`)
})

t.test('all users together keep to the ceiling of the group', async (t) => {
  const { as } = await setUp(t, { RATE_LIMITS_GLOBAL: '12/hour' })
  t.equal(await refusals(8, () => as(TRADER).status()), 0)
  t.equal(await refusals(4, () => as(SECOND).start('999')), 0)
  const refused = await as(SECOND).stop('999')
  t.match(refused, { status: 429, body: { 'violated-policies': ['group/bots'] } })
})

t.test('all users of a tenant keep to its limit, and leave the others what is theirs', async (t) => {
  const { service, as } = await setUp(t, { RATE_LIMITS_TENANT: '12/hour', RATE_LIMITS_GLOBAL: '20/hour' })
  t.equal(await refusals(8, () => as(TRADER).status()), 0)
  t.equal(await refusals(8, () => as(SECOND).start('999')), 4)
  t.match(await as(SECOND).stop('999'), { status: 429, body: { 'violated-policies': ['tenant-bots'] } })
  t.match(await as('globex/trader@globex.example').status(), { status: 200 })
  const history = (tenant: string) => fetch(`${service.url}/${tenant}/api/theme/history`)
  t.equal(await refusals(14, () => history('acme')), 2, 'histories are counted apart')
  t.equal((await history('globex')).status, 200)
})

t.test('without a setting a tenant has less than all together', async (t) => {
  const { config } = loadConfig({})
  t.equal(config.rateLimitsIp, '60/minute')
  const limits = new Policies({
    policies: { tenant: config.rateLimitsTenant, all: config.rateLimitsGlobal },
  })
  const [tenant, all] = [limits.get('tenant'), limits.get('all')]
  t.match(tenant, { capacity: 100, refillPerSecond: 2 })
  t.ok(Number(tenant?.capacity) < Number(all?.capacity))
  t.ok(Number(tenant?.refillPerSecond) < Number(all?.refillPerSecond))
})

t.test('administrators have no limits, and nobody becomes one by saying so', async (t) => {
  const { as } = await setUp(t, { RATE_LIMITS_STATUS: '2/hour' })
  t.equal(await refusals(20, () => as(ADMIN).status()), 0)
  t.equal(await refusals(4, () => as(TRADER, { role: 'admin' }).status()), 2)
})

t.test('a limit is text, and a wrong one is refused at the start', async (t) => {
  const { as } = await setUp(t, { RATE_LIMITS_STATUS: '100 per 60s burst 3 refill 1/h' })
  t.equal(await refusals(5, () => as(TRADER).status()), 2)
})

t.test('a theme beyond the limit of its tenant is served from memory, and says how old it is', async (t) => {
  const { theme } = await setUp(t, { RATE_LIMITS_PUBLIC: '5/hour' })
  const first = await theme()
  t.match(first.headers.get('ratelimit-policy'), /"public";q=5;w=3600/)
  for (let turn = 1; turn < 5; turn += 1) await theme()
  const over = await theme()
  t.equal(over.status, 200)
  t.match(over.headers.get('age'), /^\d+$/)
  t.match(over.headers.get('ratelimit'), /"public";r=0/)
  t.strictSame(await over.json(), await first.json())
  const unchanged = await theme('acme', { 'if-none-match': String(over.headers.get('etag')) })
  t.equal(unchanged.status, 304)
  const others = await theme('globex')
  t.match(others.headers.get('ratelimit'), /"public";r=4/, 'tenants are counted apart')
  const answers = await Promise.all(Array.from({ length: 300 }, () => theme()))
  t.ok(answers.every(({ status }) => status === 200))
})

t.test('an address may ask 60 times, whoever it says it is, for what exists and what does not', async (t) => {
  const { service, as, theme } = await setUp(t, {
    // What comes back while this runs would be let pass.
    RATE_LIMITS_IP: '60/hour',
    RATE_LIMITS_STATUS: '1000/minute',
  })
  t.equal(await refusals(20, () => as(TRADER).status()), 0)
  t.equal(await refusals(20, () => as('acme/nobody@acme.example').status()), 0)
  t.equal(await refusals(20, () => fetch(`${service.url}/nothing/here`)), 0)
  const refused = await as(SECOND, { 'x-forwarded-for': '198.51.100.7' }).status()
  t.match(refused, {
    status: 429,
    body: { error: 'HOLDFAST_ERR_API_ADDRESS_LIMITED', retry_after: Number },
  })
  t.match(refused.headers.get('retry-after'), /^\d+$/)
  t.equal(refused.headers.get('x-rate-limit-remaining'), '0')
  t.equal((await fetch(`${service.url}/nothing/here`)).status, 429)
  for (const path of ['/healthz', '/livez', '/readyz']) {
    t.equal(await refusals(70, () => fetch(service.url + path)), 0, path)
  }
  t.equal((await theme()).status, 200, 'themes have a limit of their own')
})

t.test('behind a proxy that is trusted, clients are told apart by what it says', async (t) => {
  const { as } = await setUp(t, { TRUST_PROXY: '127.0.0.0/8, ::1', RATE_LIMITS_IP: '3/hour' })
  const from = (address: string) => as(TRADER, { 'x-forwarded-for': address })
  t.equal(await refusals(5, () => from('198.51.100.7').status()), 2)
  t.equal(await refusals(3, () => from('198.51.100.8').status()), 0)
  t.match(await from('::ffff:198.51.100.7').status(), { status: 429 }, 'the same in another spelling')
  t.match(
    await from('203.0.113.1, 198.51.100.7').status(),
    { status: 429 },
    'what the client adds is not believed',
  )
  t.equal(await refusals(3, () => from('2001:db8:1:2::1').status()), 0)
  t.match(
    await from('2001:db8:1:2:ffff::9').status(),
    { status: 429 },
    'one network of 64 bits is one client',
  )
})

t.test('addresses without limits have none', async (t) => {
  const { as } = await setUp(t, {
    RATE_LIMITS_IP: '3/minute',
    RATE_LIMITS_STATUS: '3/minute',
    RATE_LIMITS_EXEMPT: 'loopback',
  })
  t.equal(await refusals(20, () => as(TRADER).status()), 0)
})

/** Whether Redis has decided all of it: on a busy machine it may need longer than anybody waits for it. */
function wasShared({ app }: ServiceApp): boolean {
  const { storeFailures, decisions } = app.fastify.tenantRateLimit.limiter.snapshot()
  return storeFailures === 0 && decisions.fallback === 0
}

t.test('processes on one Redis share the limits, also on a Redis of their own', async (t) => {
  const [main, own] = await Promise.all([startRedis(), startRedis()])
  t.teardown(() => Promise.all([main.stop(), own.stop()]))
  const trial = async (environment: Readonly<Record<string, string>>) => {
    for (const { directPort } of [main, own]) await askRedis(directPort, 'FLUSHALL')
    const DATABASE_URL = await demoDatabase(postgres.directUrl)
    const shared = { ...environment, DATABASE_URL, RATE_LIMITS_STATUS: '7/hour', RATE_LIMITS_IP: '20/hour' }
    const one = await setUp(t, shared)
    const other = await setUp(t, shared)
    for (const { service } of [one, other]) {
      await waitUntil(() => service.app.fastify.trafficRedis?.available === true)
    }
    let turn = 0
    const ofTheUser = await refusals(14, () => {
      turn += 1
      return (turn % 2 === 0 ? one : other).as(TRADER).status()
    })
    const ofTheAddress = await refusals(10, () => one.as(ADMIN).status())
    const undisturbed = wasShared(one.service) && wasShared(other.service)
    await Promise.all([one, other].map(({ service }) => service.app.fastify.close()))
    return { ofTheUser, ofTheAddress, undisturbed }
  }
  for (const environment of [
    { REDIS_URL: main.url },
    { RATE_LIMIT_REDIS_URL: own.url },
    { REDIS_URL: main.url, RATE_LIMIT_REDIS_URL: own.url },
  ]) {
    let found = await trial(environment)
    for (let trials = 1; trials < 5 && !found.undisturbed; trials += 1) found = await trial(environment)
    t.strictSame(
      found,
      { ofTheUser: 7, ofTheAddress: 4, undisturbed: true },
      Object.keys(environment).join(' and '),
    )
  }
})

t.test('when Redis is lost, limits go on in each process, and come back', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { as, service, theme } = await setUp(t, { REDIS_URL: redis.url, RATE_LIMITS_STATUS: '10/hour' })
  await waitUntil(() => service.app.fastify.trafficRedis?.available === true)
  t.equal(await refusals(5, () => as(TRADER).status()), 0)
  await redis.kill9()
  await waitUntil(() => service.app.fastify.trafficRedis?.available === false)
  const refused = await refusals(20, () => as(TRADER).status())
  t.ok(refused >= 10 && refused < 20, `${refused} of 20 were refused`)
  t.equal((await theme()).status, 200)
  await redis.restart()
  await waitUntil(() => service.app.fastify.trafficRedis?.available === true)
  t.equal((await as(SECOND).status()).status, 200)
})

t.test(
  'an address that asks for more than 100 in a minute is blocked, until it is let in again',
  async (t) => {
    const METRICS_TOKEN = 'a-token-of-this-test'
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const shared = {
      DATABASE_URL: await demoDatabase(postgres.directUrl),
      REDIS_URL: redis.url,
      TRUST_PROXY: 'loopback',
      METRICS_TOKEN,
    }
    const one = await setUp(t, shared)
    const other = await setUp(t, shared)
    const heavy = { 'x-forwarded-for': '198.51.100.7' }
    // Others are there, too: one address alone could be that of a proxy.
    for (let client = 1; client <= 20; client += 1)
      await one.theme('acme', { 'x-forwarded-for': `203.0.113.${client}` })
    for (let turn = 0; turn < 100; turn += 1) t.equal((await one.theme('acme', heavy)).status, 200)
    await waitUntil(async () => (await one.theme('acme', heavy)).status !== 200)
    const blocked = await one.theme('acme', heavy)
    t.equal(blocked.status, 429)
    t.ok(Number(blocked.headers.get('retry-after')) > 800)
    t.match(await blocked.json(), { status: 429, retry_after: Number })
    t.equal(
      (await fetch(`${one.service.url}/livez`, { headers: heavy })).status,
      200,
      'probes are never refused',
    )
    await waitUntil(async () => (await other.theme('acme', heavy)).status === 429, {
      what: 'the other process to know',
    })
    t.equal((await other.theme('acme', { 'x-forwarded-for': '198.51.100.8' })).status, 200)

    const admin = (method: string, path: string, authorization = `Bearer ${METRICS_TOKEN}`) =>
      fetch(`${one.service.url}/admin/abuse${path}`, { method, headers: { authorization } })
    t.equal((await admin('GET', '/blocks', 'Bearer nonsense')).status, 403)
    t.match(await (await admin('GET', '/blocks')).json(), { items: [{ address: '198.51.100.7' }] })
    t.equal((await admin('DELETE', '/blocks/198.51.100.7')).status, 200)
    await waitUntil(async () => (await other.theme('acme', heavy)).status === 200)
  },
)

t.test('a user who is limited again and again is told to the operators', async (t) => {
  const { as, service } = await setUp(t, { RATE_LIMITS_START: '1/hour' })
  t.equal(await refusals(52, () => as(TRADER).start('999')), 51)
  t.match(service.app.fastify.abuseGuard.summary().flagged, [{ reason: /bot\.start\.limited/ }])
})

t.test('what an address is answered counts for its block, as ABUSE_WEIGHTS says', async (t) => {
  const untilBlocked = async (environment: Readonly<Record<string, string>>) => {
    const { service } = await setUp(t, {
      TRUST_PROXY: 'loopback',
      ABUSE_MAX_PER_MINUTE: '20',
      ...environment,
    })
    const ask = (address: string) =>
      fetch(`${service.url}/nothing`, { headers: { 'x-forwarded-for': address } })
    // Others are there, too: one address alone could be that of a proxy.
    for (let client = 1; client <= 20; client += 1) await ask(`203.0.113.${client}`)
    let requests = 1
    while ((await ask('198.51.100.7')).status === 404) requests += 1
    return requests
  }
  t.equal(await untilBlocked({ ABUSE_WEIGHTS: 'none' }), 21, 'the twenty-first')
  t.equal(await untilBlocked({}), 11, 'two each: the block comes with the request after the tenth')
  t.equal(await untilBlocked({ ABUSE_WEIGHTS: '404:20' }), 2)
})

t.test('a wrong token counts more wherever it is sent; a request that names nobody does not', async (t) => {
  const METRICS_TOKEN = 'a-token-of-this-test'
  const { service } = await setUp(t, {
    TRUST_PROXY: 'loopback',
    ABUSE_MAX_PER_MINUTE: '20',
    ENABLE_METRICS: 'true',
    METRICS_TOKEN,
  })
  const ask = async (path: string, address: string, token?: string) => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const headers = { 'x-forwarded-for': address, ...authorization }
    const answer = await fetch(`${service.url}${path}`, { headers })
    return { status: answer.status, text: await answer.text() }
  }
  // Others are there, too: one address alone could be that of a proxy.
  for (let client = 1; client <= 20; client += 1) await ask('/nothing', `203.0.113.${client}`)

  for (let turn = 0; turn < 20; turn += 1)
    t.match(await ask('/api/bot/status', '198.51.100.1'), { status: 401 })
  t.match(
    await ask('/api/bot/status', '198.51.100.1'),
    { status: 429 },
    'as with any request, the one after the limit',
  )

  for (const [at, path] of [
    '/metrics',
    '/admin/limits',
    '/admin/abuse/blocks',
    '/health/check',
    '/readyz?verbose',
  ].entries()) {
    const address = `198.51.100.${at + 10}`
    for (let turn = 0; turn < 5; turn += 1) await ask(path, address, 'a-wrong-token-of-this-test')
    t.match(await ask('/acme/api/public/load-theme', address), { status: 429 }, path)
  }
  const details = /"severity"/
  t.match(await ask('/readyz?verbose', '203.0.113.1', METRICS_TOKEN), { status: 200, text: details })
  const { status, text } = await ask('/readyz?verbose', '198.51.100.14', METRICS_TOKEN)
  t.equal(status, 200, 'probes are never refused')
  t.notMatch(text, details, 'but tell nothing more')
  t.match(await ask('/admin/limits', '198.51.100.14', METRICS_TOKEN), { status: 200 }, 'the way back')
})
