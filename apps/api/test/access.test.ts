// Who may use what: rules, roles, tenants, fresh passwords, and pages of other sites.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { type AccessRule, type Principal, refusal } from '../src/access-rule.ts'
import { statedAccess } from '../src/plugins/stated-access.ts'
import { judgeProvenance } from '../src/routes/auth/cross-site.ts'
import { FormTokens } from '../src/routes/auth/form-token.ts'
import { newBearer } from './bearer-of.ts'
import { demoDatabase } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory } from './service-process.ts'

t.setTimeout(120_000)

const NOW = 1_000_000_000
const principal = (role: Principal['role'], tenant = 'acme', agoMs = 0): Principal => ({
  id: '1',
  tenant,
  role,
  authenticatedAtMs: NOW - agoMs,
  by: { session: 'x' },
  believed: false,
})

t.test('a role is one question, the tenant another, and when the password was given a third', (t) => {
  const code = (rule: AccessRule, who: Principal | null, tenant?: string) => {
    const error = refusal(rule, who, { tenant, nowMs: NOW })
    return error === undefined
      ? 'in'
      : String((error as { code?: string }).code).replace('HOLDFAST_ERR_API_', '')
  }
  for (const who of [null, principal('user')]) {
    t.equal(code('public', who, 'globex'), 'in')
    t.equal(code('guarded', who, 'globex'), 'in')
  }
  for (const rule of ['user', 'operator', 'admin'] as const) t.equal(code(rule, null), 'NOT_SIGNED_IN')
  t.equal(code('user', principal('user'), 'acme'), 'in')
  t.equal(code('user', principal('user'), 'globex'), 'OTHER_TENANT')
  t.equal(code('operator', principal('user'), 'acme'), 'FORBIDDEN')
  t.equal(code('operator', principal('operator'), 'acme'), 'in')
  t.equal(code('operator', principal('operator'), 'globex'), 'OTHER_TENANT')
  t.equal(code('admin', principal('operator')), 'FORBIDDEN')
  t.equal(code('admin', principal('admin'), 'globex'), 'in')
  t.equal(code('admin', principal('admin', 'acme', 900_000)), 'in')
  t.equal(code('admin', principal('admin', 'acme', 900_001)), 'STALE_SIGN_IN')
  t.equal(code('user', principal('admin', 'acme', 900_001), 'globex'), 'in')
  const believed = { ...principal('user', 'acme', NOW), believed: true }
  t.equal(code('user', believed, 'acme'), 'in')
  t.equal(code('operator', believed, 'acme'), 'USER_UNAVAILABLE', 'he may be one')
  t.equal(code('user', believed, 'globex'), 'USER_UNAVAILABLE')
  t.end()
})

t.test('a service with a route that states no rule does not start', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(statedAccess, { foreign: { '/known': 'public', '/known/inner': 'guarded' } })
  app.get('/stated', { config: { access: 'user' } }, async () => 'x')
  app.get('/known', async () => 'x')
  app.get('/known/inner/deep', async () => 'x')
  app.get('/knownish', async () => 'x')
  app.post('/forgotten', async () => 'x')
  await t.rejects(async () => app.ready(), {
    code: 'HOLDFAST_ERR_API_ACCESS_UNSTATED',
    message: /GET \/knownish, .*POST \/forgotten/,
  })
})

t.test('where a request comes from', (t) => {
  const rules = { trustedOrigins: new Set(['https://other.example']), sslStrict: true }
  const from = (changes: object, sslStrict = true) =>
    judgeProvenance(
      {
        method: 'POST',
        secFetchSite: undefined,
        origin: undefined,
        referer: undefined,
        host: 'app.example',
        isHttps: false,
        hasCookies: true,
        ...changes,
      },
      { ...rules, sslStrict },
    ).verdict
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    t.equal(from({ method, secFetchSite: 'cross-site', origin: 'https://evil.example' }), 'allow')
  }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'QUERY']) {
    t.equal(from({ method, secFetchSite: 'same-origin' }), 'allow')
    t.equal(from({ method, secFetchSite: 'none' }), 'allow')
    t.equal(from({ method, secFetchSite: 'cross-site' }), 'refuse')
    t.equal(from({ method, secFetchSite: 'same-site' }), 'refuse', 'a sibling is another site')
    t.equal(from({ method, secFetchSite: 'nonsense' }), 'refuse')
    t.equal(from({ method, origin: 'http://app.example' }), 'allow')
    t.equal(from({ method, origin: 'http://evil.example' }), 'refuse')
    t.equal(from({ method, origin: 'http://app.example.evil.example' }), 'refuse')
    t.equal(from({ method, origin: 'http://app.example:8080' }), 'refuse')
    t.equal(from({ method, origin: 'null' }), 'refuse')
    t.equal(from({ method, origin: '' }), 'refuse')
    t.equal(from({ method, referer: 'http://evil.example/app.example' }), 'refuse')
    t.equal(from({ method, referer: 'http://app.example/page?x' }), 'allow')
    t.equal(from({ method, secFetchSite: 'cross-site', origin: 'https://other.example' }), 'allow', 'trusted')
    t.equal(from({ method }), 'token')
  }
  const https = { isHttps: true, secFetchSite: 'same-origin' }
  t.equal(from(https), 'refuse', 'strict: has to say where it comes from')
  t.equal(from({ ...https, secFetchSite: undefined, hasCookies: false }), 'token', 'a program')
  t.equal(from({ ...https, secFetchSite: 'cross-site', hasCookies: false }), 'refuse')
  t.equal(from({ ...https, origin: 'https://evil.example', hasCookies: false }), 'refuse')
  t.equal(from(https, false), 'allow')
  t.equal(from({ ...https, origin: 'https://app.example' }), 'allow')
  t.equal(from({ ...https, referer: 'https://app.example/x' }), 'allow')
  t.equal(from({ ...https, origin: 'https://evil.example' }), 'refuse')
  for (const strict of [true, false]) {
    const plain = { isHttps: true, origin: 'http://app.example' }
    t.equal(from(plain, strict), 'refuse', 'a page that anybody on the way could have written')
  }
  t.equal(from({ origin: 'https://app.example' }), 'allow', 'whoever ends HTTPS may not have said so')
  t.end()
})

t.test('a form token is good for its session alone, and with either key', (t) => {
  const [key, older] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const forms = new FormTokens([key, older])
  const token = forms.issue('session-1')
  t.ok(forms.isFor('session-1', token))
  t.not(forms.issue('session-1'), token)
  t.ok(forms.isFor('session-1', new FormTokens([older]).issue('session-1')))
  t.notOk(new FormTokens([older]).isFor('session-1', token))
  for (const wrong of [
    undefined,
    '',
    token.slice(0, -1),
    `${token}A`,
    token.replace('.', ''),
    [token],
    'x.y',
  ]) {
    t.notOk(forms.isFor('session-1', wrong))
  }
  t.notOk(forms.isFor('session-2', token))
  t.notOk(forms.isFor('', token))
  t.end()
})

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function setUp(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const dataDirectory = scratchDirectory(t)
  const databaseUrl = await demoDatabase(postgres.directUrl, dataDirectory)
  const service = await ServiceApp.start(t, { DATABASE_URL: databaseUrl, ...environment }, dataDirectory)
  const accounts: { email: string; role: string }[] = JSON.parse(
    readFileSync(join(dataDirectory, 'demo-credentials.json'), 'utf8'),
  )
  const accountOf = (email: string) => {
    const { role: _, ...account } = accounts.find((each) => each.email === email) ?? { role: '' }
    return account
  }
  const signIn = async (email: string): Promise<Record<string, string>> => {
    const answer = await fetch(`${service.url}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(accountOf(email)),
    })
    return { cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
  }
  const bearer = async (user: string, agoMs = 0) => ({
    authorization: `Bearer ${String(await newBearer(databaseUrl, user, Date.now() - agoMs))}`,
  })
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(service.url + path, { method, headers })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
  return { service, bearer, ask, signIn, accountOf }
}

t.test('what operators see, an administrator with a fresh password sees, too', async (t) => {
  const { bearer, ask, signIn } = await setUp(t)
  const cookie = await signIn('admin@acme.example')
  t.equal((await ask('GET', '/admin/abuse/blocks', cookie)).status, 200)
  const admin = await bearer('acme/admin@acme.example')
  const stale = await bearer('acme/admin@acme.example', 901_000)
  const trader = await bearer('acme/trader@acme.example')
  for (const path of ['/health/check', '/admin/abuse/blocks']) {
    t.equal((await ask('GET', path, admin)).status, 200, path)
    for (const headers of [stale, trader]) t.equal((await ask('GET', path, headers)).status, 403, path)
    t.ok([401, 403].includes((await ask('GET', path)).status), path)
  }
  t.equal((await ask('GET', '/healthz')).status, 200)
  t.equal((await ask('GET', '/nothing/here')).status, 404)
})

t.test('a page of another site changes nothing with the cookie of whoever looks at it', async (t) => {
  const { ask, service, signIn } = await setUp(t)
  const victim = await signIn('trader@acme.example')
  const path = '/auth/sessions/revoke-all'
  const crossSite = /HOLDFAST_ERR_API_CROSS_SITE/
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    {},
    { 'x-csrf-token': 'AAAAAAAAAAAAAAAA.'.padEnd(60, 'A') },
  ] as Record<string, string>[]) {
    const answer = await ask('POST', path, { ...victim, ...headers })
    t.match(answer, { status: 403, text: crossSite }, JSON.stringify(headers))
  }
  const attacker = await signIn('operator@acme.example')
  const tokenOf = async (who: Record<string, string>) =>
    String(JSON.parse((await ask('GET', '/auth/me', who)).text).csrf_token)
  t.match(await ask('POST', path, { ...victim, 'x-csrf-token': await tokenOf(attacker) }), { status: 403 })
  t.equal((await ask('GET', '/auth/me', victim)).status, 200, 'still signed in')
  const login = await fetch(`${service.url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'cross-site' },
    body: '{}',
  })
  t.equal(login.status, 403, 'nor is anybody signed in by another site')
  t.equal((await ask('POST', path, { ...victim, 'x-csrf-token': await tokenOf(victim) })).status, 204)
  t.equal((await ask('GET', '/auth/me', victim)).status, 401)
})

t.test(
  'a program signs in over HTTPS without saying where it comes from, and a page of another site does not',
  async (t) => {
    const { service, accountOf } = await setUp(t, { TRUST_PROXY: 'loopback', CSRF_SSL_STRICT: 'true' })
    const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const answer = await fetch(service.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-proto': 'https', ...headers },
        body: JSON.stringify(body),
      })
      return { status: answer.status, body: JSON.parse(await answer.text()) }
    }
    const trader = { ...accountOf('trader@acme.example'), mode: 'token' }
    const signedIn = await post('/auth/login', trader)
    t.match(signedIn, { status: 200, body: { refresh_token: /^hfr_/ } })
    t.match(await post('/auth/refresh', { refresh_token: signedIn.body.refresh_token }), { status: 200 })
    const crossSite = { status: 403, body: { error: 'HOLDFAST_ERR_API_CROSS_SITE' } }
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.example' },
      { cookie: 'sid=x' },
    ] as Record<string, string>[]) {
      t.match(await post('/auth/login', trader, headers), crossSite, JSON.stringify(headers))
    }
  },
)

t.test('a request with a token has no cookies', async (t) => {
  const { ask, signIn, bearer } = await setUp(t)
  const cookie = await signIn('admin@acme.example')
  t.equal((await ask('GET', '/auth/me', cookie)).status, 200)
  t.equal((await ask('GET', '/auth/me', { ...cookie, authorization: 'Bearer nonsense' })).status, 401)
  const token = await bearer('acme/trader@acme.example')
  t.equal(JSON.parse((await ask('GET', '/auth/me', { ...cookie, ...token })).text).role, 'user')
  t.equal(
    (await ask('POST', '/auth/sessions/revoke-all', { ...token, 'sec-fetch-site': 'cross-site' })).status,
    204,
  )
})
