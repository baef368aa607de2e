// What operators close, and what everybody is told of it: over HTTP, as the requirements have it.

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { createLogs } from '../src/logger.ts'
import { Secret } from '../src/secret.ts'
import { bearerOf } from './bearer-of.ts'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { scratchDirectory, TEST_SETTINGS } from './service-process.ts'
import { ask, Browser, credentialsOf, demoAccounts } from './sign-in-client.ts'

t.setTimeout(240_000)

const TOKEN = 'the-token-of-these-operators'
const OPERATOR = { authorization: `Bearer ${TOKEN}` }
const TRADER = 'acme/trader@acme.example'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function start(t: Test, environment: Readonly<Record<string, string>> = {}, given?: string) {
  const databaseUrl = given ?? (await demoDatabase(postgres.url))
  const { url } = await ServiceApp.start(t, {
    DATABASE_URL: databaseUrl,
    ADMIN_TOKEN: TOKEN,
    ENABLE_METRICS: 'true',
    ...environment,
  })
  const of = async (user: string) => ({ authorization: `Bearer ${await bearerOf(databaseUrl, user)}` })
  return {
    databaseUrl,
    of,
    get: (path: string, headers = {}) => ask(url, 'GET', path, undefined, headers),
    post: (path: string, body?: unknown, headers: Readonly<Record<string, string>> = OPERATOR) =>
      ask(url, 'POST', path, body, headers),
    put: (path: string, body?: unknown) => ask(url, 'PUT', path, body, OPERATOR),
    remove: (path: string) => ask(url, 'DELETE', path, undefined, OPERATOR),
  }
}

async function userOf(databaseUrl: string, role: string): Promise<string> {
  const pool = testPool(databaseUrl, 1)
  try {
    const { rows } = await pool.query(
      'select slug, email from users join tenants on tenants.id = tenant_id where role = $1 order by users.id limit 1',
      [role],
    )
    return `${rows[0]?.['slug']}/${rows[0]?.['email']}`
  } finally {
    await pool.end()
  }
}

t.test('maintenance on: bots can be looked at, by administrators everything; off: as before', async (t) => {
  const { databaseUrl, of, get, post } = await start(t)
  const user = await of(TRADER)
  const admin = await of(await userOf(databaseUrl, 'admin'))
  const start_ = (headers: Readonly<Record<string, string>>) =>
    post('/api/bot/start', { bot_id: '999999' }, headers)
  t.same((await get('/api/status')).body, { maintenance_enabled: false, banner_message: '' })
  t.equal((await start_(user)).status, 404, 'there is no such bot')

  const enabled = await post('/admin/maintenance/enable')
  t.match(enabled, { status: 200, body: { maintenance_enabled: true, recorded: true } })
  t.match((await get('/api/status')).body, {
    maintenance_enabled: true,
    banner_message: /Bots can only be looked at/,
  })
  for (const path of ['start', 'stop', 'recover']) {
    const refused = await post(`/api/bot/${path}`, { bot_id: '999999' }, user)
    t.match(refused, {
      status: 503,
      body: {
        error: 'HOLDFAST_ERR_MAINTENANCE_ACTIVE',
        detail: /Bots can only be looked at/,
        retry_after: Number,
        correlation_id: String,
      },
    })
    t.ok(Number(refused.headers.get('retry-after')) >= 1)
    t.ok(refused.headers.get('content-security-policy'), 'it has the headers of every answer')
  }
  t.equal((await start_({})).status, 503, 'also for who brings nothing')
  t.equal((await get('/api/bot/status', user)).status, 200)
  t.equal((await get('/acme/api/public/load-theme')).status, 200)
  for (const probe of ['/healthz', '/livez', '/readyz']) t.equal((await get(probe)).status, 200, probe)
  t.equal((await start_(admin)).status, 404, 'an administrator gets through')
  const page = await post('/api/bot/start', { bot_id: '1' }, { accept: 'text/html' })
  t.equal(page.status, 503)
  t.match(page.text, /<!doctype html>[\s\S]*Bots can only be looked at/i)

  t.match(await post('/admin/maintenance/disable', undefined, admin), {
    status: 200,
    body: { maintenance_enabled: false },
  })
  t.equal((await start_(user)).status, 404)
  t.same((await get('/api/status')).body, { maintenance_enabled: false, banner_message: '' })

  const history = await get('/admin/maintenance/history', OPERATOR)
  t.match(history.body.items, [
    { action: 'rules.cleared', by: /^\d+$/ },
    { action: 'rule.set', subject: 'maintenance', by: 'operator token' },
  ])
})

t.test('only operators may, and what they may not do is said in words', async (t) => {
  const { of, get, post } = await start(t)
  const user = await of(TRADER)
  for (const path of [
    '/admin/maintenance/enable',
    '/admin/maintenance/disable',
    '/admin/banner',
    '/admin/banner/clear',
  ]) {
    t.equal((await post(path, {}, {})).status, 401, path)
    t.equal((await post(path, {}, user)).status, 403, path)
  }
  t.equal((await get('/admin/maintenance/history', user)).status, 403)
  t.match(await post('/admin/maintenance/enable', { mode: 'asleep' }), {
    status: 400,
    body: { error: 'HOLDFAST_ERR_MAINTENANCE_RULE', detail: /"mode" must be/ },
  })
  t.match(await post('/admin/banner', { message: '' }), { status: 400 })
})

t.test('everything closed: sign-in, probes, metrics, status and the way back stay open', async (t) => {
  const { of, get, post } = await start(t)
  const user = await of(TRADER)
  await post('/admin/maintenance/enable', {
    scope: {},
    mode: 'block',
    allow: { roles: [] },
    message: 'Back at noon.',
  })
  t.equal((await get('/acme/api/public/load-theme')).status, 503)
  t.equal((await get('/api/bot/status', user)).status, 503)
  t.equal((await get('/nowhere')).status, 503)
  for (const path of ['/healthz', '/readyz', '/health/ready', '/api/status'])
    t.equal((await get(path)).status, 200, path)
  t.equal((await get('/metrics', OPERATOR)).status, 401, 'which has a token of its own')
  const login = { tenant: 'acme', email: 'nobody@acme.example', password: 'a wrong password' }
  t.match(await post('/auth/login', login, {}), {
    status: 401,
    body: { error: 'HOLDFAST_ERR_API_SIGN_IN_REFUSED' },
  })
  t.equal((await get('/admin/limits', OPERATOR)).status, 200)
  t.equal((await post('/admin/maintenance/disable')).status, 200)
  t.equal((await get('/acme/api/public/load-theme')).status, 200)
})

t.test('an operator whose address is blocked opens what is closed', async (t) => {
  const { get, post } = await start(t, { TRUST_PROXY: '127.0.0.1' })
  t.equal((await post('/admin/maintenance/enable', { scope: {}, mode: 'block' })).status, 200)
  t.match(await post('/admin/abuse/blocks', { address: '192.0.2.7' }), { status: 201 })
  const blocked = { 'x-forwarded-for': '192.0.2.7' }
  t.equal((await get('/api/status', blocked)).status, 429)
  t.equal((await post('/admin/maintenance/disable', undefined, blocked)).status, 401, 'nobody else does')
  const operator = { ...OPERATOR, ...blocked }
  t.equal((await get('/admin/maintenance', operator)).status, 200)
  t.equal((await post('/admin/maintenance/disable', undefined, operator)).status, 200)
  t.equal((await post('/admin/banner/clear', undefined, operator)).status, 200)
})

t.test('everything may only read: whoever is signed in reads, and whoever signs in is let in', async (t) => {
  const directory = scratchDirectory(t)
  const databaseUrl = await demoDatabase(postgres.url, directory)
  const { url } = await ServiceApp.start(t, { DATABASE_URL: databaseUrl, ADMIN_TOKEN: TOKEN }, directory)
  const trader = credentialsOf(demoAccounts(directory), 'user')
  const before = new Browser()
  t.equal((await before.post(url, '/auth/login', trader)).status, 200)
  const everything = { scope: 'all', mode: 'read-only' }
  t.equal((await ask(url, 'POST', '/admin/maintenance/enable', everything, OPERATOR)).status, 200)
  const meanwhile = new Browser()
  t.equal((await meanwhile.post(url, '/auth/login', trader)).status, 200)
  for (const browser of [before, meanwhile]) {
    t.equal((await browser.get(url, '/auth/me')).status, 200)
    t.equal((await browser.get(url, '/api/bot/status')).status, 200)
    t.equal((await browser.post(url, '/api/bot/start', { bot_id: '999999' })).status, 503)
    t.equal((await browser.post(url, '/auth/logout')).status, 204)
  }
})

t.test('one tenant is closed for its users and in its paths', async (t) => {
  const { of, get, post } = await start(t)
  await post('/admin/maintenance/enable', { scope: { tenant: 'acme' }, mode: 'block', message: 'Call us.' })
  t.equal((await get('/api/bot/status', await of(TRADER))).status, 403)
  t.equal((await get('/api/bot/status', await of('globex/trader@globex.example'))).status, 200)
  t.equal((await get('/acme/api/public/load-theme')).status, 403)
  t.equal((await get('/globex/api/public/load-theme')).status, 200)
  t.same(
    (await get('/api/status')).body,
    { maintenance_enabled: false, banner_message: '' },
    'nobody else is told',
  )
})

t.test('a bypass lets a user try out what is closed, until all are revoked', async (t) => {
  const { of, post, remove } = await start(t)
  const user = await of(TRADER)
  const issued = await post('/admin/maintenance/bypasses', { duration_ms: 60_000 })
  t.match(issued, { status: 201, body: { token: String, header: 'x-maintenance-bypass' } })
  await post('/admin/maintenance/enable')
  const token = String(issued.body['token'])
  const starting = async (headers: Readonly<Record<string, string>>) =>
    (await post('/api/bot/start', { bot_id: '999999' }, { ...user, ...headers })).status
  t.equal(await starting({}), 503)
  t.equal(await starting({ 'x-maintenance-bypass': token }), 404, 'there is no such bot')
  t.equal(await starting({ 'x-maintenance-bypass': `${token.slice(0, -2)}xx` }), 503)
  const taken = await post('/api/status/maintenance/bypass', { token }, {})
  t.equal(taken.status, 204)
  const cookie = String(taken.headers.get('set-cookie')).split(';')[0] ?? ''
  t.equal(await starting({ cookie }), 404)
  t.equal((await remove('/admin/maintenance/bypasses')).status, 200)
  t.equal(await starting({ 'x-maintenance-bypass': token }), 503)
  t.equal(await starting({ cookie }), 503)
})

t.test('the banner, its severity, and the settings of a start', async (t) => {
  const { get, post } = await start(t, {
    MAINTENANCE_MODE_DEFAULT: 'true',
    BROADCAST_BANNER: 'Maintenance tonight',
  })
  t.same((await get('/api/status')).body, {
    maintenance_enabled: true,
    banner_message: 'Maintenance tonight',
  })
  t.match(await post('/admin/banner', { message: 'Maintenance 2-4 PM UTC', severity: 'warning' }), {
    status: 200,
  })
  t.match((await get('/api/status/maintenance')).body, {
    banner: { message: 'Maintenance 2-4 PM UTC', severity: 'warning' },
    maintenance: [{ mode: 'read-only', group: 'bots', active: true }],
  })
  await post('/admin/banner/clear')
  await post('/admin/maintenance/disable')
  t.same((await get('/api/status')).body, { maintenance_enabled: false, banner_message: '' })
})

t.test('a start finds what was in force in the database, and a setting wins', async (t) => {
  const one = await start(t)
  await one.put('/admin/maintenance/rules/tonight', { scope: { group: 'bots' }, reason: 'change 4711' })
  const two = await start(t, {}, one.databaseUrl)
  t.match((await two.get('/api/status')).body, { maintenance_enabled: true })
  t.match((await two.get('/admin/maintenance', OPERATOR)).body, {
    rules: [{ id: 'tonight', reason: 'change 4711' }],
  })
  const off = await start(t, { MAINTENANCE_FORCE: 'off' }, one.databaseUrl)
  t.match((await off.get('/api/status')).body, { maintenance_enabled: false })
  t.match((await off.get('/admin/maintenance', OPERATOR)).body, {
    override: { origin: 'setting' },
    rules: [{ id: 'tonight', state: 'overridden' }],
  })
  t.equal((await one.remove('/admin/maintenance/rules/tonight')).status, 200)
})

t.test('a file closes and opens a process, whatever operators said', async (t) => {
  const file = join(scratchDirectory(t), 'maintenance')
  const { get, post } = await start(t, { MAINTENANCE_FILE: file })
  const isClosed = async () => (await post('/api/bot/start', { bot_id: '1' }, {})).status === 503
  const until = (what: string, closed: boolean) =>
    waitUntil(async () => (await isClosed()) === closed, { timeoutMs: 60_000, what })
  t.equal(await isClosed(), false)
  writeFileSync(file, '')
  await until('a file to close it', true)
  t.match((await get('/admin/maintenance', OPERATOR)).body, { override: { origin: 'file' }, rules: [] })
  await post('/admin/maintenance/enable')
  writeFileSync(file, 'off')
  await until('a file to open it', false)
  rmSync(file)
  await until('operators to be heard again', true)
})

t.test('a GET that writes is stopped by the database while bots can only be looked at', async (t) => {
  const databaseUrl = await demoDatabase(postgres.url)
  const { config } = loadConfig({ ...TEST_SETTINGS, DATABASE_URL: databaseUrl })
  const { fastify } = await buildApp({
    config,
    logs: createLogs({ ...config, logLevel: 'silent' }, false),
    dataDirectory: undefined,
    databaseUrl: new Secret(databaseUrl),
  })
  t.teardown(() => fastify.close())
  const change = 'update bots set changed_at = now() where id = (select min(id) from bots) returning id'
  fastify.get('/api/bot/careless', { config: { poolGuard: {} } }, async () => {
    return (await fastify.poolGuard.query(change)).rowCount
  })
  await fastify.ready()
  t.equal((await fastify.inject('/api/bot/careless')).body, '1')
  await fastify.maintenance.set({ scope: { group: 'bots' }, mode: 'read-only' })
  const refused = await fastify.inject('/api/bot/careless')
  t.match(refused.json(), { status: 503, error: 'HOLDFAST_ERR_API_READ_ONLY', retry_after: 60 })
  await fastify.maintenance.clear()
  t.equal((await fastify.inject('/api/bot/careless')).body, '1')
})

t.test('what was recorded cannot be changed', async (t) => {
  const { databaseUrl, post } = await start(t)
  await post('/admin/maintenance/enable', { reason: 'change 4711' })
  const pool = testPool(databaseUrl, 1)
  t.teardown(() => pool.end())
  await t.rejects(pool.query("update maintenance_changes set by = 'somebody else'"), /stays as it is/)
  const { rows } = await pool.query('select action, by, reason from maintenance_changes')
  t.same(rows, [{ action: 'rule.set', by: 'operator token', reason: 'change 4711' }])
})
