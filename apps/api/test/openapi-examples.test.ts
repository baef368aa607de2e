// Every example of the document is sent to a running service, and every answer is held to the document: what it says is
// there is there, and nothing else is.

import { startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { unlike } from './likeness.ts'
import { answerChecks, casesOf, type Document, operationsOf, type Sender } from './openapi-cases.ts'
import { type Credentials, World } from './openapi-world.ts'
import { watchSerializers } from './serializer-watch.ts'

t.setTimeout(240_000)

const serializers = watchSerializers()
const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const world = await World.start(t, postgres.directUrl)
const { service } = world
const document = service.app.fastify.swagger() as unknown as Document
const check = answerChecks(document)
/** Operations of which an answer that is no refusal was seen. */
const answered = new Set<string>()

interface Sent {
  readonly method: string
  readonly path: string
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly credentials: Credentials
}

/** Sends a request, and holds the answer to the document. */
async function send(
  t: Pick<Test, 'same'>,
  { method, path, parameters = {}, headers = {}, body, credentials }: Sent,
) {
  const query = new URLSearchParams()
  let url = path
  for (const [name, value] of Object.entries(parameters)) {
    if (path.includes(`{${name}}`)) url = url.replace(`{${name}}`, encodeURIComponent(String(value)))
    else query.set(name, String(value))
  }
  const answer = await fetch(`${service.url}${url}${query.size > 0 ? `?${query}` : ''}`, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
      ...credentials,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? ''
  const real: unknown = /\bjson$/.test(type) ? JSON.parse(text) : text
  const wrong = check(method, path, { status: answer.status, type, body: real })
  // Never the body: what a test writes is looked through for tokens.
  t.same(wrong, [], `${method} ${path} ${answer.status}`)
  if (answer.ok) answered.add(`${method} ${path}`)
  return { status: answer.status, body: real }
}

const cases = casesOf(document)

t.test('every example is answered as the document says', async (t) => {
  t.ok(cases.length >= 80, `${cases.length} examples`)
  for (const { name, method, path, as, parameters, headers, body, status, answer } of cases) {
    const known = await world.prepare(name)
    const credentials = as === 'nobody' ? {} : (known ?? (await world.credentialsOf(as)))
    const given = world.real({ parameters, headers, body })
    const real = await send(t, { method, path, credentials, ...given })
    t.equal(real.status, status, `${name}: ${String(Object(real.body).error)}`)
    if (answer !== undefined) t.same(unlike(answer, real.body), [], name)
  }
})

/** What has no example, because it is another one each time: sent to hold the answer to its schema. */
const OTHERS: readonly (readonly [
  operation: string,
  as: Sender,
  parameters?: Sent['parameters'],
  body?: unknown,
])[] = [
  ['GET /readyz/{check}', 'nobody', { check: 'database' }],
  ['GET /readyz', 'metrics-token', { verbose: '1' }],
  ['GET /health/groups/{group}', 'nobody', { group: 'ready' }],
  ['GET /health/check', 'metrics-token'],
  ['GET /health/detailed', 'metrics-token'],
  ['GET /health/metrics', 'metrics-token'],
  ['GET /health/security', 'metrics-token'],
  ['GET /metrics', 'metrics-token'],
  ['GET /admin/abuse/addresses', 'operator-token'],
  ['GET /admin/audit', 'operator-token', { limit: 5 }],
  ['GET /admin/deployment', 'operator-token'],
  ['GET /admin/lifecycle', 'admin'],
  ['POST /admin/lifecycle/cordon', 'operator-token', {}, { reason: 'an example' }],
  ['POST /admin/lifecycle/uncordon', 'operator-token'],
  ['GET /admin/limits', 'operator-token'],
  [
    'PUT /admin/limits',
    'operator-token',
    {},
    { limits: { status: '61/minute' }, overrides: { acme: { public: '500/minute' } } },
  ],
  ['DELETE /admin/limits', 'operator-token'],
  ['GET /admin/maintenance', 'operator-token'],
  ['GET /admin/maintenance/history', 'operator-token', { limit: 5 }],
]

/** Of which no answer but a refusal is seen here: there is no check that counts for these, and nothing to pardon. */
const REFUSED_HERE = [
  'DELETE /admin/abuse/users/{user}',
  'GET /admin/maintenance/rules/{id}/quiescence',
  'GET /livez/{check}',
  'GET /startupz/{check}',
]

t.test('what has no example is answered as its schema says', async (t) => {
  for (const [operation, as, parameters, body] of OTHERS) {
    const [method = '', path = ''] = operation.split(' ')
    await world.prepare('')
    const credentials = await world.credentialsOf(as)
    const { status } = await send(t, { method, path, credentials, ...(parameters && { parameters }), body })
    t.equal(status, 200, operation)
  }
  const all = operationsOf(document).map(({ method, path }) => `${method} ${path}`)
  t.strictSame(
    all.filter((operation) => !answered.has(operation)).toSorted(),
    REFUSED_HERE,
    'an answer of every other operation was held to the document',
  )
})

t.test('what is refused before a handler is as the document says, too', async (t) => {
  await world.prepare('')
  const credentials = await world.credentialsOf('user')
  const sent = { method: 'POST', path: '/api/bot/start', credentials }
  t.match(await send(t, { ...sent, body: {} }), { status: 400, body: { error: 'FST_ERR_VALIDATION' } })
  t.match(await send(t, { ...sent, body: { bot_id: 'x'.repeat(2000) } }), { status: 413 })
  t.match(await send(t, { ...sent, body: { bot_id: 1 } }), {
    status: 400,
    body: { error: 'HOLDFAST_ERR_API_ID_NOT_TEXT' },
  })
  t.match(
    await send(t, {
      ...sent,
      body: { bot_id: '1' },
      credentials: { ...credentials, 'content-type': 'text/plain' },
    }),
    {
      status: 415,
    },
  )
  await service.app.fastify.maintenance.set({ allow: { roles: [] }, message: 'closed for a test' })
  t.match(await send(t, { ...sent, body: { bot_id: '1' } }), {
    status: 503,
    body: { error: 'HOLDFAST_ERR_MAINTENANCE_ACTIVE', maintenance: { mode: 'block' } },
  })
  await service.app.fastify.maintenance.clear()
})

/** What they answer is text or bytes that are ready, and stays what it is. */
const READY = [
  'GET /:tenant/api/public/load-theme',
  'GET /:tenant/api/theme/history',
  'GET /api/bot/status',
  'GET /api/status',
  'GET /api/status/maintenance',
  'GET /healthz',
  'GET /livez',
  'GET /readyz',
  'GET /metrics',
]

t.test('no serializer has lost anything, and what is ready passes none', async (t) => {
  t.strictSame(serializers.losses, [])
  t.ok(serializers.routes.size >= 20, [...serializers.routes].join(', '))
  t.strictSame(
    READY.filter((route) => serializers.routes.has(route)),
    [],
  )
})
