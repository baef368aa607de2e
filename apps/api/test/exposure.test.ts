// What the outside learns of the inside, whom it can pretend to be, and where it can send the service.

import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../src/config.ts'
import { parseThemeDocument } from '../src/routes/public-theme/theme.ts'
import { loneApp } from './lone-app.ts'
import { exchange } from './raw-exchange.ts'

t.setTimeout(120_000)
// A resolver that drops a question keeps a closing pool waiting for ten seconds.
process.env['RES_OPTIONS'] = 'timeout:1 attempts:1'

const TOKEN = 'a-token-for-tests'
/** Nobody outside may read any of these. */
const INSIDE = [
  'database-of-the-inside',
  'user-of-the-inside',
  'password-of-the-inside',
  'redis-of-the-inside',
]
const [databaseHost, databaseUser, databasePassword, redisHost] = INSIDE

async function serviceWith(t: Test, environment: Readonly<Record<string, string>> = {}) {
  const fastify = await loneApp(
    t,
    {
      API_HOST: '127.0.0.1',
      ENABLE_METRICS: 'true',
      METRICS_TOKEN: TOKEN,
      REDIS_URL: `redis://:${databasePassword}@${redisHost}.invalid:6379`,
      ABUSE_MAX_PER_MINUTE: '1000000',
      RATE_LIMITS_IP: '1000000/minute',
      ...environment,
    },
    {
      databaseUrl: `postgres://${databaseUser}:${databasePassword}@${databaseHost}.invalid:5432/nothing`,
    },
  )
  fastify.get('/who', { config: { access: 'public' } }, async ({ ip, protocol, host }) => ({
    ip,
    protocol,
    host,
  }))
  await fastify.listen({ host: '127.0.0.1', port: 0 })
  const { port } = fastify.server.address() as { readonly port: number }
  return { fastify, port }
}

/** The names by which clients say who they are, and whom nobody believes. */
const PRETENCES = [
  'x-forwarded-for: 127.0.0.1',
  'x-forwarded-for: 127.0.0.1, 127.0.0.1',
  'x-real-ip: 127.0.0.1',
  'forwarded: for=127.0.0.1;proto=https;host=localhost',
  'x-client-ip: 127.0.0.1',
  'true-client-ip: 127.0.0.1',
  'host: localhost',
  'x-original-url: /healthz',
  'x-rewrite-url: /healthz',
  'x-http-method-override: GET',
  'authorization: Bearer',
  'authorization: Bearer undefined',
  `authorization: Bearer ${TOKEN.slice(0, -1)}`,
  `authorization: Basic ${TOKEN}`,
]
const GUARDED = ['/metrics', '/health/check', '/health/detailed', '/health/metrics', '/health/security']

t.test('nobody gets to the pages of operators by saying where he comes from', async (t) => {
  const { port, fastify } = await serviceWith(t)
  for (const path of [
    ...GUARDED,
    '/admin/abuse/blocks',
    '/METRICS',
    '/metrics/',
    '//metrics',
    '/%6detrics',
  ]) {
    for (const pretence of PRETENCES) {
      const host = pretence.startsWith('host') ? '' : 'host: x\r\n'
      const [answer] = await exchange(
        port,
        `GET ${path} HTTP/1.1\r\n${host}${pretence}\r\nconnection: close\r\n\r\n`,
      )
      t.ok([401, 403, 404].includes(answer?.status ?? 0), `${path} with ${pretence}: ${answer?.status}`)
    }
  }
  const headers = { authorization: `Bearer ${TOKEN}` }
  for (const path of GUARDED) t.equal((await fastify.inject({ url: path, headers })).statusCode, 200, path)
})

t.test('who is not known reads no host, no user, no error text, and no label is a user', async (t) => {
  const { fastify } = await serviceWith(t)
  const paths = [
    '/healthz',
    '/livez',
    '/readyz',
    '/readyz?verbose',
    '/health',
    '/health/summary',
    '/startupz',
  ]
  const others = ['/readyz/database', '/health/groups/ready', '/acme/api/theme/history', '/nothing', '/who']
  for (const path of [...paths, ...others, ...GUARDED]) {
    const { body, headers } = await fastify.inject({ url: path, headers: { accept: '*/*' } })
    const told = body + JSON.stringify(headers)
    for (const secret of INSIDE) t.notMatch(told, secret, path)
    t.notMatch(told, /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|node:|\.invalid|:\/\//, path)
  }
  const headers = { authorization: `Bearer ${TOKEN}` }
  const { body } = await fastify.inject({ url: '/metrics', headers })
  t.notMatch(body, /[{,](user|user_id|email|address|ip)="/)
  for (const secret of INSIDE) t.notMatch(body, secret)
  for (const path of GUARDED) {
    t.notMatch(
      (await fastify.inject({ url: path, headers })).body,
      databasePassword,
      `${path}, even to operators`,
    )
  }
})

const FORWARDED = {
  'x-forwarded-for': '203.0.113.9',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'evil.example',
}

t.test('only proxies that are listed are believed', async (t) => {
  const who = async (environment: Readonly<Record<string, string>>, headers: object = FORWARDED) => {
    const { fastify } = await serviceWith(t, environment)
    return (await fastify.inject({ url: '/who', headers: { host: 'x', ...headers } })).json()
  }
  const connected = { ip: '127.0.0.1', protocol: 'http', host: 'x' }
  t.same(await who({}), connected)
  t.same(await who({ TRUST_PROXY: '10.0.0.0/8' }), connected, 'of somewhere else')
  t.same(await who({ TRUST_PROXY: 'private' }), connected, 'a network of its own is no mistake')
  t.match(await who({ TRUST_PROXY: 'loopback' }), { ip: '203.0.113.9', protocol: 'https' })
  const chain = { ...FORWARDED, 'x-forwarded-for': '127.0.0.1, 203.0.113.9, 10.0.0.7' }
  t.match(await who({ TRUST_PROXY: 'loopback,10.0.0.0/8' }, chain), { ip: '203.0.113.9' })
  for (const wrong of [
    'true',
    '1',
    '*',
    '0.0.0.0/0',
    '::/0',
    '::ffff:0:0/96',
    '0.0.0.0/1,128.0.0.0/1',
    '8000::/1',
  ]) {
    t.throws(() => loadConfig({ TRUST_PROXY: wrong }), { code: 'HOLDFAST_ERR_API_CONFIG' }, wrong)
  }
})

t.test('a client that names another address is counted under its own', async (t) => {
  const { fastify } = await serviceWith(t, { RATE_LIMITS_IP: '5/hour' })
  const statuses: number[] = []
  for (let turn = 0; turn < 7; turn += 1) {
    const headers = { 'x-forwarded-for': `203.0.113.${turn}` }
    statuses.push((await fastify.inject({ url: '/who', headers })).statusCode)
  }
  t.same(statuses, [200, 200, 200, 200, 200, 429, 429])
})

/** A server that nobody has any business with. */
async function canary(t: Test): Promise<{ readonly server: Server; readonly port: number; calls(): number }> {
  let calls = 0
  const server = createServer((socket) => {
    calls += 1
    socket.destroy()
  })
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  return { server, port, calls: () => calls }
}

t.test('nothing that a client sends has the service ask another server', async (t) => {
  const { fastify } = await serviceWith(t)
  const { port, calls } = await canary(t)
  const places = [`http://127.0.0.1:${port}/`, `https://127.0.0.1:${port}/`, `//127.0.0.1:${port}/`]
  for (const place of places) {
    const headers = {
      origin: place,
      referer: place,
      host: `127.0.0.1:${port}`,
      'x-forwarded-host': `127.0.0.1:${port}`,
      'x-original-url': place,
      link: `<${place}>; rel="preload"`,
      profile: place,
    }
    for (const url of [
      '/who',
      '/acme/api/public/load-theme',
      `/acme/api/theme/history?cursor=${place}`,
      place,
    ]) {
      await fastify.inject({ url, headers })
    }
    for (const url of ['/auth/login', '/auth/register', '/auth/password/forgot', '/auth/refresh']) {
      const payload = { email: place, password: place, tenant: place, refresh_token: place, callback: place }
      await fastify.inject({ method: 'POST', url, headers, payload })
    }
  }
  t.equal(calls(), 0)
})

t.test(
  'a theme names places for browsers alone, and those of the inside by no scheme but https',
  async (t) => {
    const places = [
      'http://169.254.169.254/latest/meta-data/',
      'http://[::ffff:127.0.0.1]/',
      'http://0x7f.1/',
      'file:///etc/passwd',
      'gopher://127.0.0.1:6379/_FLUSHALL',
      'javascript:alert(1)',
      'data:text/html,<script>alert(1)</script>',
      '//169.254.169.254/',
    ]
    for (const place of places) {
      for (const member of ['logo_url', 'favicon_url', 'support_url']) {
        t.ok('problems' in parseThemeDocument({ [member]: place }), `${member} ${place}`)
      }
    }
    // What could fetch them is nowhere in the source, neither a client nor a redirect, but where an operator's own
    // address is asked for odds, or posted to, past every address of the inside.
    const folder = join(import.meta.dirname, '../src')
    const sources = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.ts'))
    // A command asks the service that its operator names.
    const guarded = ['notifications/outbound-client.ts', 'provider/provider-client.ts']
    const files = sources.filter((file) => !file.startsWith('cli/') && !guarded.includes(file))
    t.ok(files.length > 50)
    for (const file of files) {
      const text = await readFile(join(folder, file), 'utf8')
      t.notMatch(
        text,
        /\bfetch\(|from 'undici'|from 'node:https'|\bhttps?\.(get|request)\(|\.redirect\(/,
        file,
      )
    }
  },
)
