// What a client can do wrong before any feature is asked: methods, addresses, members, and requests that never end.

import { once } from 'node:events'
import { connect } from 'node:net'
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { loneApp } from './lone-app.ts'

t.setTimeout(120_000)

const setUp = (t: Pick<Test, 'teardown'>, environment: Readonly<Record<string, string>> = {}) =>
  loneApp(t, { ENABLE_METRICS: 'true', METRICS_TOKEN: 'a-token-for-tests', ...environment })

const fastify = await setUp(t)
const url = new URL(await fastify.listen({ host: '127.0.0.1', port: 0 }))

const HISTORY = '/acme/api/theme/history'
const EVENTS = '/acme/api/theme/preview-events'

t.test('a method that a path has not is a 405 that names those it has', async (t) => {
  const wrong = [
    ['POST', '/acme/api/public/load-theme', 'GET, HEAD, OPTIONS'],
    ['DELETE', '/nobody/api/public/load-theme', 'GET, HEAD, OPTIONS'],
    ['PUT', HISTORY, 'GET, HEAD, OPTIONS'],
    ['GET', EVENTS, 'OPTIONS, POST'],
    ['HEAD', EVENTS, 'OPTIONS, POST'],
    ['POST', '/healthz', 'GET, HEAD, OPTIONS'],
    ['PATCH', '/readyz/database', 'GET, HEAD, OPTIONS'],
    ['DELETE', '/health/check', 'GET, HEAD, OPTIONS'],
    ['POST', '/metrics', 'GET, HEAD, OPTIONS'],
  ] as const
  for (const [method, path, allow] of wrong) {
    const answer = await fastify.inject({ method, url: path })
    t.equal(answer.statusCode, 405, `${method} ${path}`)
    t.match(answer.headers, {
      allow,
      'content-type': /^application\/problem\+json/,
      'cache-control': 'no-store',
    })
    if (method !== 'HEAD')
      t.match(answer.json(), { status: 405, error: 'HOLDFAST_ERR_ERROR_PAGES_METHOD_NOT_ALLOWED' })
  }
  const unread = await fastify.inject({
    method: 'POST',
    url: HISTORY,
    headers: { 'content-type': 'text/nonsense' },
    payload: 'x'.repeat(3_000_000),
  })
  t.equal(unread.statusCode, 405, 'whatever its body is')
})

t.test('OPTIONS tells the methods of a path, and a path that is none stays a 404', async (t) => {
  const told = await fastify.inject({ method: 'OPTIONS', url: EVENTS })
  t.match(told, { statusCode: 204, headers: { allow: 'OPTIONS, POST' }, body: '' })
  t.match(await fastify.inject({ method: 'OPTIONS', url: '/healthz' }), {
    statusCode: 200,
    headers: { allow: /GET/ },
  })
  for (const method of ['GET', 'POST', 'OPTIONS'] as const) {
    t.match(await fastify.inject({ method, url: '/acme/api/nothing' }), { statusCode: 404 }, method)
  }
})

t.test('what is wrong with a query or a body is told by its name, with what it may be', async (t) => {
  const detail = async (request: string | InjectOptions) => (await fastify.inject(request)).json().detail
  t.equal(await detail(`${HISTORY}?limit=abc`), 'limit must be integer')
  t.equal(await detail(`${HISTORY}?cursor=1&cursor=2`), 'cursor must be string')
  const event = { event_id: '0', theme_version: '1', viewport: 'desktop' }
  const post = (payload: object) => detail({ method: 'POST', url: EVENTS, payload })
  t.equal(await post(event), 'event_id must match format "uuid"')
  t.equal(await post({}), `the body must have required property 'event_id'`)
  const event_id = '9f0b6f6e-58a1-4a5c-9d4f-0a4b1d0c2f11'
  t.equal(
    await post({ ...event, event_id, viewport: 'watch' }),
    'viewport must be one of desktop, tablet, mobile',
  )
  t.equal(await post({ ...event, event_id, more: 'x' }), 'the body must not have "more"')
})

t.test('a DELETE may name the type of a body that it has not', async (t) => {
  const headers = { authorization: 'Bearer a-token-for-tests', 'content-type': 'application/json' }
  for (const path of ['/admin/limits', '/admin/abuse/blocks/192.0.2.1']) {
    const { statusCode } = await fastify.inject({ method: 'DELETE', url: path, headers })
    t.equal(statusCode, path === '/admin/limits' ? 200 : 404, path)
  }
  t.match(await fastify.inject({ method: 'PUT', url: '/admin/limits', headers }), { statusCode: 400 })
  const proto = '{ "__proto__": { "limits": {} } }'
  const poisoned = await fastify.inject({ method: 'PUT', url: '/admin/limits', headers, payload: proto })
  t.equal(poisoned.statusCode, 400)
})

t.test('who may scrape changes nothing where operators have a token of their own', async (t) => {
  const app = await setUp(t, { ADMIN_TOKEN: 'a-token-of-operators' })
  const statuses = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` }
    const asked = ['/metrics', '/health/check', '/admin/limits', '/admin/abuse/blocks'].map(
      async (path) => (await app.inject({ url: path, headers })).statusCode,
    )
    return Promise.all(asked)
  }
  t.strictSame(await statuses('a-token-for-tests'), [200, 200, 401, 403])
  t.strictSame(await statuses('a-token-of-operators'), [401, 403, 200, 200])
})

t.test('an address that cannot be decoded is refused without repeating its query', async (t) => {
  const answer = await fastify.inject('/%E0?token=not-to-be-repeated')
  t.match(answer.json(), { status: 400, error: 'FST_ERR_BAD_URL', detail: 'The path cannot be decoded.' })
})

t.test('a request that does not arrive whole is given up', async (t) => {
  const { server } = fastify
  t.match(server, { requestTimeout: 10_000, headersTimeout: 10_000 })
  server.requestTimeout = 50
  server.headersTimeout = 50
  const socket = connect(Number(url.port), url.hostname)
  socket.write(
    `POST ${EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
  )
  const [answer] = await once(socket, 'data')
  t.match(String(answer), /^HTTP\/1\.1 408 [\s\S]*application\/problem\+json[\s\S]*took too long to arrive/)
  socket.destroy()
})
