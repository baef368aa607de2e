// 10,000 requests of every kind to the service, with secrets planted in all of them: then its log is read line by line.

import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { Logs } from '@holdfast/logging'
import { LineReader, RawClient, seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { who } from '../src/logger.ts'
import { demoDatabase } from './fresh-database.ts'
import { loneApp } from './lone-app.ts'
import { scratchDirectory, TEST_SETTINGS } from './service-process.ts'
import { Browser, credentialsOf, demoAccounts, tokensOf } from './sign-in-client.ts'

t.setTimeout(300_000)

const REQUESTS = 10_000
const CONNECTIONS = 40
const canary = `canary-${randomBytes(12).toString('hex')}`
const SECRETS = `x-api-key: ${canary}\r\nproxy-authorization: Basic ${canary}\r\n`
const BODY = JSON.stringify({ password: canary, nested: [{ token: canary }], level: 60, msg: 'spoof' })
const POSTED = 'content-type: application/json\r\n'
const ADMIN_TOKEN = `an-admin-${canary}`

/** How a request looks, and what becomes of it. */
interface Kind {
  readonly head: string
  readonly body?: string
  /** Undefined: the connection is cut instead of waiting for an answer. */
  readonly status: number | readonly number[] | undefined
  /** Whether the connection is over with the answer. */
  readonly ends?: true
  /** It never becomes a request, so its id is always new. */
  readonly unread?: true
  /** Who asks is in its line. */
  readonly known?: true
}

t.test('each of 10,000 requests has one line by the ids of its answer, and none a secret', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const directory = scratchDirectory(t)
  const databaseUrl = await demoDatabase(postgres.directUrl, directory)
  const reader = new LineReader()
  const app = await loneApp(
    t,
    {
      ...TEST_SETTINGS,
      ADMIN_TOKEN,
      DATABASE_URL: databaseUrl,
      ABUSE_MAX_PER_MINUTE: '1000000',
      HANDLER_TIMEOUT: '5s',
      REQUEST_TIMEOUT: '3s',
      RATE_LIMITS_SIGN_IN: '1/minute',
      RATE_LIMITS_STATUS: '1000000/minute',
    },
    { databaseUrl, logs: new Logs<FastifyRequest>({ destination: reader, ...who }) },
  )
  /** By correlation id, who has come to the door. */
  const arrived = new Set<string>()
  app.addHook('onRequest', async ({ id }) => void arrived.add(id))
  const config = { access: 'public' } as const
  app.get('/thrown', { config }, async () => {
    throw Object.assign(new Error(`connect redis://app:${canary}@db failed`), {
      config: { password: canary },
    })
  })
  app.post('/orders', { config }, async (request) => {
    request.log.warn(request.body as object, 'an order')
    app.logging.event('USER_ACTION', 'order', request.body as object)
    return 'ok'
  })
  app.get('/stream', { config }, async () => Readable.from(['a', 'b', 'c']))
  app.get('/hijacked', { config }, (_request, reply) => {
    reply.hijack()
    reply.raw.end('mine')
  })
  app.get('/never', { config }, () => new Promise(() => {}))
  app.get('/half', { config }, async () => {
    const endless = new Readable({ read() {} })
    endless.push('x')
    return endless
  })
  app.get('/limited', { config: { ...config, addressLimit: '1/minute' } }, async () => 'ok')
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = new URL(url)
  await waitUntil(async () => (await fetch(`${url}/acme/api/public/load-theme`)).status === 200)

  const account = credentialsOf(demoAccounts(directory), 'user')
  const { accessToken, refreshToken } = await tokensOf(url, account)
  const browser = new Browser()
  await browser.post(url, '/auth/login', account)
  const wrong = JSON.stringify({ tenant: 'acme', email: 'nobody@acme.example', password: canary })
  await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: wrong,
  })
  const before = reader.completions.length

  const bearer = `authorization: Bearer ${accessToken}\r\n`
  const theme = '/acme/api/public/load-theme'
  const post = (path: string, body: string, more = '') => ({
    head: `POST ${path} HTTP/1.1\r\nhost: a\r\n${POSTED}content-length: ${body.length}\r\n${more}`,
    body,
  })
  const half = post('/orders', BODY)
  const weighted: readonly (readonly [weight: number, kind: Kind])[] = [
    [200, { head: `GET ${theme}?token=${canary} HTTP/1.1\r\nhost: a\r\n`, status: 200 }],
    [100, { head: `HEAD ${theme} HTTP/1.1\r\nhost: a\r\n`, status: 200 }],
    [100, { head: `GET /nowhere?code=${canary} HTTP/1.1\r\nhost: a\r\n`, status: 404 }],
    [50, { head: `DELETE ${theme} HTTP/1.1\r\nhost: a\r\n`, status: 405 }],
    [50, { head: `GET /thrown HTTP/1.1\r\nhost: a\r\n`, status: 500 }],
    [50, { head: `GET /limited HTTP/1.1\r\nhost: a\r\n`, status: [200, 429] }],
    [50, { ...post('/auth/login', wrong), status: [401, 429] }],
    [50, { head: `GET /auth/me HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${canary}\r\n`, status: 401 }],
    [50, { head: `GET /auth/me HTTP/1.1\r\nhost: a\r\ncookie: sid=${canary}\r\n`, status: 401 }],
    [100, { head: `GET /auth/me HTTP/1.1\r\nhost: a\r\n${bearer}`, status: 200, known: true }],
    [
      100,
      { head: `GET /auth/me HTTP/1.1\r\nhost: a\r\ncookie: ${browser.cookie}\r\n`, status: 200, known: true },
    ],
    [20, { head: `GET /api/bot/status HTTP/1.1\r\nhost: a\r\n${bearer}`, status: [200, 503], known: true }],
    [50, { ...post('/api/bot/start', BODY, bearer), status: [400, 429], known: true }],
    [50, { ...post('/orders', BODY), status: 200 }],
    [20, { head: `POST /orders HTTP/1.1\r\nhost: a\r\n${POSTED}content-length: 9999999\r\n`, status: 413 }],
    [50, { head: `GET /stream HTTP/1.1\r\nhost: a\r\n`, status: 200 }],
    [50, { head: `GET /hijacked HTTP/1.1\r\nhost: a\r\n`, status: 200 }],
    [50, { head: `GET /%zz?${canary} HTTP/1.1\r\nhost: a\r\n`, status: 400 }],
    [20, { head: `GET ${theme} HTTP/1.1\r\nhost: a\r\nexpect: ${canary}\r\n`, status: 417 }],
    [20, { head: `GET ${theme} HTTP/1.1\r\n`, status: 400, ends: true }],
    [20, { head: `CONNECT a:80 HTTP/1.1\r\nhost: a\r\n`, status: 405, ends: true }],
    [
      20,
      {
        head: `GET /admin/limits HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${ADMIN_TOKEN}\r\n`,
        status: [200, 429],
      },
    ],
    [30, { head: `BREW /${canary} HTTP/1.1\r\nhost: a\r\n`, status: 400, ends: true, unread: true }],
    [10, { head: `GET / HTTP/1.1\r\nx: ${canary.repeat(600)}\r\n`, status: 431, ends: true, unread: true }],
    [
      10,
      {
        head: `POST /orders HTTP/1.1\r\nhost: a\r\n${POSTED}transfer-encoding: chunked\r\n`,
        body: `${canary}\r\n`,
        status: 400,
        ends: true,
      },
    ],
    // Those that somebody has to wait for are few.
    [1, { head: 'GET /never HTTP/1.1\r\nhost: a\r\n', status: 503 }],
    [1, { ...half, body: BODY.slice(0, 20), status: 408, ends: true }],
    [50, { head: 'GET /never HTTP/1.1\r\nhost: a\r\n', status: undefined }],
    [50, { head: 'GET /half HTTP/1.1\r\nhost: a\r\n', status: undefined }],
    [50, { ...half, body: BODY.slice(0, 20), status: undefined }],
  ]
  const kinds = weighted.flatMap(([weight, kind]) => Array.from({ length: weight }, () => kind))

  /** What the answer of each request said of its ids; undefined where there was none. */
  const asked = new Map<
    string,
    { readonly kind: Kind; readonly requestId?: string; readonly status?: number }
  >()
  const surprises: string[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const client = new RawClient(Number(port))
      while (next < REQUESTS) {
        const number = next++
        const kind = random.pick(kinds)
        const good = `mixed-${String(number).padStart(8, '0')}`
        // Each third brings an id that is no good, and gets one; who is cut off is found by his, so it is a good one.
        const isBad = number % 3 === 0 && kind.status !== undefined
        const text = `${kind.head}${SECRETS}x-correlation-id: ${isBad ? '"no id' : good}\r\n\r\n${kind.body ?? ''}`
        if (kind.status === undefined) {
          await client.cut(text, () => arrived.has(good))
          asked.set(good, { kind })
          continue
        }
        const answer = await client.ask(text, kind.ends === true)
        const status = Number(answer.slice(9, 12))
        const id = /^x-correlation-id: (\S+)\r$/im.exec(answer)?.[1]
        const requestId = /^x-request-id: (\S+)\r$/im.exec(answer)?.[1]
        const isExpected = [kind.status].flat().includes(status)
        if (!isExpected || id === undefined || requestId === undefined || asked.has(id)) {
          surprises.push(`${kind.head.split('\r')[0]?.slice(0, 60)} -> ${answer.slice(0, 100)}`)
          continue
        }
        if ((id === good) === (isBad || kind.unread === true)) surprises.push(`${text.slice(0, 20)}: ${id}`)
        asked.set(id, { kind, requestId, status })
      }
      client.close()
    }),
  )
  t.same([...new Set(surprises)].slice(0, 5), [])
  t.equal(asked.size, REQUESTS)
  await waitUntil(() => reader.completions.length >= before + REQUESTS, { timeoutMs: 30_000 })
  await setImmediate()

  const lines = reader.completions.slice(before)
  t.equal(lines.length, REQUESTS, 'one line each')
  const named = new Map(lines.map((line) => [line['correlation_id'] as string, line]))
  t.equal(named.size, REQUESTS, 'each its own')
  const different: unknown[] = []
  for (const [id, { kind, requestId, status }] of asked) {
    const line = named.get(id)
    const fits =
      line !== undefined &&
      (requestId === undefined
        ? line['aborted'] === true
        : line['status'] === status && line['request_id'] === requestId && line['aborted'] === undefined) &&
      (kind.known === true) === (line['user_id'] !== undefined && line['tenant'] === 'acme')
    if (!fits) different.push({ kind: kind.head.split('\r')[0], line })
  }
  t.same(different.slice(0, 3), [])
  t.equal(different.length, 0)
  t.equal(new Set(lines.map((line) => line['request_id'])).size, REQUESTS)

  const text = reader.texts.join('')
  const cookie = /sid=([^;]+)/.exec(browser.cookie)?.[1] ?? ''
  for (const [what, secret] of Object.entries({
    canary: canary.slice(7, 19),
    accessToken: accessToken.slice(-20),
    refreshToken: refreshToken.slice(4, 24),
    cookie: cookie.slice(-20),
    password: account.password,
    email: account.email,
  })) {
    t.ok(secret.length >= 10, what)
    t.notOk(text.includes(secret), `no ${what} is in the log`)
  }
  t.match(reader.named('an order'), { given: { level: 60, msg: 'spoof' }, password: '[masked]' })
  const strays = reader.lines.filter(
    ({ correlation_id: id, event }) =>
      id === undefined && typeof event === 'string' && event.startsWith('request.'),
  )
  t.same(strays, [], 'what failed is told by the ids of its request')
  t.comment(`${reader.lines.length} lines, ${Math.round(text.length / 1024)} KB`)
})
