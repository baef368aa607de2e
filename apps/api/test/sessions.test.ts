// Sessions of two processes over one Redis and one PostgreSQL: what holds in both, what they ask, and what is left while
// either is away. Both run in here; sessions.faults.ts kills real ones.

import { countStatements, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'
import { ask, Browser, credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

t.setTimeout(240_000)

const [postgres, redis] = await Promise.all([
  startPostgres(),
  startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
])
t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))

const NOT_SIGNED_IN = { status: 401, body: { error: 'HOLDFAST_ERR_API_NOT_SIGNED_IN' } }
const UNAVAILABLE = {
  status: 503,
  body: { error: 'HOLDFAST_ERR_API_SIGN_IN_UNAVAILABLE', detail: /nothing has changed/, retry_after: Number },
}
const TOKEN = 'a-token-of-this-test'
/** What every process has read by then, on a busy machine. */
const SOON = { timeoutMs: 30_000, intervalMs: 100 }

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  // Through the proxy, and away when that is.
  const dataDirectory = scratchDirectory(t)
  const url = new URL(await demoDatabase(postgres.directUrl, dataDirectory))
  url.port = String(postgres.port)
  const settings = { DATABASE_URL: url.href, REDIS_URL: redis.url, METRICS_TOKEN: TOKEN, ...environment }
  const first = await ServiceApp.start(t, settings, dataDirectory)
  const second = await ServiceApp.start(t, settings, dataDirectory)
  const services = [first, second]
  const up = () => services.every(({ app }) => app.fastify.redisSession.available)
  await waitUntil(up, SOON)
  const accounts = demoAccounts(dataDirectory)
  const credentials = (role: string, tenant?: string) => credentialsOf(accounts, role, tenant)
  /** A browser that has signed in. */
  const browserOf = async (role: string, tenant?: string) => {
    const browser = new Browser()
    // On a busy machine a call may take longer than the 50 ms that Redis has.
    await waitUntil(async () => {
      return (await browser.post(first.url, '/auth/login', credentials(role, tenant))).status === 200
    }, SOON)
    return browser
  }
  url.port = String(postgres.directPort)
  const sql = testPool(url.href, 2)
  t.teardown(() => sql.end())
  return { first, second, services, up, credentials, browserOf, sql }
}

/** How many passwords a process has hashed or verified. */
async function hashedBy({ url }: ServiceApp): Promise<number> {
  const { body } = await ask(url, 'GET', '/health/check', undefined, { authorization: `Bearer ${TOKEN}` })
  const { reports } = body as unknown as { reports: { sign_in: { passwords: { done: number } } } }
  return reports.sign_in.passwords.done
}

const meOf = (browser: Browser, { url }: ServiceApp) => browser.get(url, '/auth/me')

/** Waits until somebody is told that he is signed in no more. */
const isOut = (browser: Browser, service: ServiceApp) =>
  waitUntil(async () => (await meOf(browser.copy(), service)).status === 401, SOON)

/** As well; nothing before that may say that he is. */
async function staysOut(t: Test, browser: Browser, service: ServiceApp): Promise<void> {
  await waitUntil(async () => {
    const { status } = await meOf(browser.copy(), service)
    if (status !== 401) t.equal(status, 503, 'on a busy machine a call may take longer than Redis has')
    return status === 401
  }, SOON)
  t.pass('he is out')
}

t.test('a session of one process is one of the other, and costs PostgreSQL nothing', async (t) => {
  const { first, second, browserOf } = await setUp(t)
  const browser = await browserOf('user')
  for (const service of [first, second]) t.match(await meOf(browser, service), { status: 200 })
  const count = countStatements(postgres.proxy)
  const own = testPool(postgres.url, 1)
  await own.query('select 1 as counted')
  await own.end()
  t.ok(count.texts.includes('select 1 as counted'), 'it counts')
  count.reset()
  for (let at = 0; at < 200; at += 1) {
    const { status } = await meOf(browser, at % 2 === 0 ? first : second)
    if (status !== 200) t.equal(status, 200)
  }
  const asked = count.texts.filter((text) => /\b(users|refresh_\w+)\b/.test(text) && !/changes/.test(text))
  t.strictSame(asked, [], 'nothing but what every process asks now and then')
})

t.test('an id that was not minted here asks nobody', async (t) => {
  const { first, browserOf } = await setUp(t)
  const browser = await browserOf('user')
  const id = /sid=([^;]+)/.exec(browser.cookie)?.[1] ?? ''
  const swapped = id.slice(0, -1) + (id.endsWith('A') ? 'B' : 'A')
  const loads = () => first.app.fastify.redisSession.snapshot().counts.loads
  const before = loads()
  for (const cookie of [
    'sid=x',
    `sid=${swapped}`,
    `sid=${id}x`,
    `sid=v1.AAAAAAAA.0000.${'A'.repeat(43)}.${'A'.repeat(22)}`,
    // Whose is it? One of them was put there by somebody else.
    `sid=${id}; sid=${swapped}`,
    `sid=${swapped}; a=1; sid=${id}`,
  ]) {
    const { status } = await ask(first.url, 'GET', '/auth/me', undefined, { cookie })
    t.equal(status, 401, cookie.slice(0, 12))
  }
  t.equal(loads(), before)
  const lines = first.stdout.split('\n').filter((line) => line.includes('session.duplicate-cookie'))
  t.match(
    lines.map((line) => JSON.parse(line)),
    [{ event_type: 'SECURITY_EVENT', times: 1 }],
    'whoever puts cookies there is told of',
  )
  t.match(await meOf(browser, first), { status: 200 })
  t.equal(loads(), before + 1)
})

t.test('signing out everywhere ends sessions and tokens, in every process', async (t) => {
  const { first, second, credentials, browserOf } = await setUp(t)
  const [one, two, stranger] = [await browserOf('user'), await browserOf('user'), await browserOf('operator')]
  const tokens = await tokensOf(second.url, credentials('user'))
  const bearerMe = ({ url }: ServiceApp) => ask(url, 'GET', '/auth/me', undefined, tokens.bearer)
  t.match(await bearerMe(second), { status: 200 })
  t.match(await one.post(first.url, '/auth/sessions/revoke-all'), { status: 204 })
  for (const service of [first, second]) {
    await isOut(one, service)
    await isOut(two, service)
  }
  t.match(await bearerMe(first), NOT_SIGNED_IN, 'at once where it was asked for')
  await waitUntil(async () => (await bearerMe(second)).status === 401, SOON)
  t.match(await ask(second.url, 'POST', '/auth/refresh', { refresh_token: tokens.refreshToken }), {
    status: 401,
  })
  t.match(await meOf(stranger, second), { status: 200 })
  const again = await browserOf('user')
  await waitUntil(async () => (await meOf(again, second)).status === 200, SOON)
})

t.test('who becomes another role or is suspended signs in again, whoever wrote that', async (t) => {
  const { services, browserOf, sql } = await setUp(t)
  const [operator, trader, other] = [
    await browserOf('operator'),
    await browserOf('user'),
    await browserOf('user', 'globex'),
  ]
  await sql.query(`update users set role = 'user' where email = 'operator@acme.example'`)
  await sql.query(`update tenants set status = 'suspended' where slug = 'globex'`)
  for (const service of services) {
    for (const browser of [operator, other]) {
      // A copy: the first answer takes the cookies away.
      await waitUntil(async () => (await meOf(browser.copy(), service)).status === 401, SOON)
    }
    t.match(await meOf(trader, service), { status: 200 })
  }
  t.match(await meOf(await browserOf('operator'), services[1] as ServiceApp), {
    status: 200,
    body: { role: 'user' },
  })
})

t.test('who is deleted is signed out, and of his tenant everybody', async (t) => {
  const { services, browserOf, sql } = await setUp(t)
  const [operator, trader] = [await browserOf('operator'), await browserOf('user', 'globex')]
  await sql.query(`delete from users where email = 'operator@acme.example'`)
  await sql.query(`delete from tenants where slug = 'globex'`)
  for (const service of services) {
    for (const browser of [operator, trader]) {
      await waitUntil(async () => (await meOf(browser.copy(), service)).status === 401, SOON)
      await staysOut(t, browser, service)
    }
  }
})

t.test('who signs in all the time, also while he is suspended, is out afterwards', async (t) => {
  const { first, services, credentials, browserOf, sql } = await setUp(t)
  const account = credentials('operator', 'globex')
  const begun: Browser[] = [await browserOf('operator', 'globex')]
  const signIns = Array.from({ length: 3 }, async () => {
    for (let status = 200; status !== 401; ) {
      const browser = new Browser()
      status = (await browser.post(first.url, '/auth/login', account)).status
      if (status === 200) begun.push(browser)
    }
  })
  await waitUntil(() => begun.length > 5)
  await sql.query(`update users set status = 'suspended' where email = $1`, [account.email])
  await Promise.all(signIns)
  for (const service of services) {
    await waitUntil(async () => (await meOf(begun[0]?.copy() ?? new Browser(), service)).status === 401, SOON)
    for (const browser of begun) await staysOut(t, browser, service)
  }
})

t.test('without PostgreSQL who is signed in stays so, and an attempt to sign in costs nothing', async (t) => {
  const { first, second, credentials, browserOf } = await setUp(t, {
    RATE_LIMITS_SIGN_IN: '3 per 15m burst 3 strict',
    DB_CONN_TIMEOUT: '1s',
  })
  // Another account than below: on a busy machine signing in may take more than one attempt.
  const browser = await browserOf('operator')
  const tokens = await tokensOf(first.url, credentials('operator'))
  const signOut = () => ask(first.url, 'POST', '/auth/logout', undefined, tokens.bearer)
  await postgres.kill9()
  t.ok((await signOut()).status >= 500, 'nobody is told that he is signed out who is not')
  const login = () => ask(first.url, 'POST', '/auth/login', { ...credentials('user'), mode: 'token' })
  const answers = []
  for (let at = 0; at < 12; at += 1) answers.push(await login())
  for (const { status, headers, body } of answers) {
    t.equal(status, 503)
    t.match(headers.get('retry-after'), /^\d+$/)
    t.match(body, { retry_after: Number, detail: String })
  }
  await waitUntil(() => first.app.fastify.poolGuard.routeMode('critical').use === 'nothing', SOON)
  const before = await hashedBy(first)
  for (const path of ['/auth/register', '/auth/password/forgot', '/auth/verify', '/auth/password/reset']) {
    const { tenant, email } = credentials('user')
    const bodies: Readonly<Record<string, object>> = {
      '/auth/register': { tenant, email, password: 'a long new password' },
      '/auth/password/forgot': { tenant, email },
      '/auth/verify': { token: `hfv_${'A'.repeat(43)}` },
      '/auth/password/reset': { token: `hfp_${'A'.repeat(43)}`, new_password: 'a long new password' },
    }
    t.match(await ask(first.url, 'POST', path, bodies[path]), UNAVAILABLE, path)
  }
  for (const service of [first, second]) t.match(await meOf(browser, service), { status: 200 })
  t.match(await login(), UNAVAILABLE)
  t.equal(await hashedBy(first), before, 'nothing was computed')
  await postgres.restart()
  await waitUntil(async () => (await login()).status === 200, SOON)
  await waitUntil(async () => (await signOut()).status === 204, SOON)
  const refreshed = await ask(first.url, 'POST', '/auth/refresh', { refresh_token: tokens.refreshToken })
  t.equal(refreshed.status, 401)
})

t.test('without Redis who is signed in stays so, as a user, and who signs out is out', async (t) => {
  const { first, second, services, up, credentials, browserOf } = await setUp(t)
  const [trader, admin, leaver, everywhere] = [
    await browserOf('user'),
    await browserOf('admin'),
    await browserOf('operator'),
    await browserOf('user', 'globex'),
  ]
  t.strictSame(trader.names, ['sid', 'sidf'])
  await waitUntil(async () => (await meOf(admin, second)).body['role'] === 'admin', SOON)
  await waitUntil(async () => (await admin.get(second.url, '/admin/abuse/blocks')).status === 200, SOON)
  await redis.kill9()
  await waitUntil(() => services.every(({ app }) => !app.fastify.redisSession.available), SOON)

  for (const service of services) {
    const asUser = { role: 'user', tenant: 'acme', authenticated_at: null }
    t.match(await meOf(trader, service), { status: 200, body: asUser })
    t.match(await meOf(admin, service), { status: 200, body: { role: 'user' } }, 'no administrator')
    t.match(await admin.get(service.url, '/admin/abuse/blocks'), { status: 401 })
    t.match(await admin.get(service.url, '/globex/api/theme/history'), { status: 200 }, 'public')
    t.match(await trader.get(service.url, '/api/bot/status'), { status: 200 })
  }
  const late = new Browser()
  t.match(await late.post(first.url, '/auth/login', credentials('admin')), { status: 200 })
  for (const service of services) {
    t.match(await meOf(late, service), { status: 200, body: { role: 'user' } }, 'who signs in is signed in')
    t.match(await late.get(service.url, '/admin/abuse/blocks'), { status: 401 })
  }
  const wrong = { ...credentials('operator', 'globex'), password: 'not that one' }
  t.match(await new Browser().post(first.url, '/auth/login', wrong), { status: 401 })
  t.match(await tokensOf(first.url, credentials('user')), { refreshToken: /^hfr_/ }, 'tokens need no Redis')
  const { password } = credentials('user')
  const change = { password, new_password: 'a brand new one' }
  t.match(await trader.post(first.url, '/auth/password', change), UNAVAILABLE)

  const stolen = leaver.copy()
  t.match(await leaver.post(first.url, '/auth/logout'), { status: 204 })
  t.strictSame(leaver.names, [])
  t.match(await meOf(stolen, first), { status: 503 }, 'nobody can say, and nothing is believed')
  await waitUntil(async () => (await meOf(stolen.copy(), second)).status === 503, SOON)
  const elsewhere = everywhere.copy()
  t.match(await everywhere.post(first.url, '/auth/sessions/revoke-all'), { status: 204 })
  t.match(await meOf(elsewhere, first), { status: 503 })
  await waitUntil(async () => (await meOf(elsewhere.copy(), second)).status !== 200, SOON)

  await redis.restart()
  await waitUntil(up, SOON)
  for (const service of services) {
    // Redis was told before any process asked it.
    await staysOut(t, stolen, service)
    await staysOut(t, elsewhere, service)
    await waitUntil(async () => (await meOf(admin.copy(), service)).body['role'] === 'admin', SOON)
    await waitUntil(async () => (await meOf(trader.copy(), service)).status === 200, SOON)
    await waitUntil(async () => (await meOf(late, service)).body['role'] === 'admin', SOON)
    // He has just signed in.
    await waitUntil(async () => (await late.get(service.url, '/admin/abuse/blocks')).status === 200, SOON)
  }
})
