import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { maintenance } from '../src/index.ts'
import { MemoryJournal } from './hand-fleet.ts'

const TOKEN = { authorization: 'Bearer operator' }
const RULE = { id: 'maintenance', scope: { group: 'bots' }, mode: 'read-only' } as const

async function serviceWith(t: Test, options: object = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(maintenance, {
    rule: RULE,
    groups: { bots: ['/api/bot'] },
    bypass: { keys: ['k'.repeat(32)] },
    admin: {
      authorize: ({ headers }) => headers.authorization === TOKEN.authorization,
      actor: ({ headers }) => headers.authorization?.replace('Bearer ', ''),
    },
    ...options,
  })
  app.post('/api/bot/start', async () => 'started')
  app.post('/api/bets', async () => 'bet')
  return app
}

async function ask(
  app: FastifyInstance,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  payload?: object,
) {
  const answer = await app.inject({ method, url, headers: TOKEN, ...(payload !== undefined && { payload }) })
  return {
    status: answer.statusCode,
    body: answer.body === '' ? undefined : answer.json(),
    headers: answer.headers,
  }
}

t.test('enable and disable without more are those of the settings', async (t) => {
  const app = await serviceWith(t)
  const enabled = await ask(app, 'POST', '/admin/maintenance/enable')
  t.equal(enabled.status, 200)
  t.equal(enabled.headers['cache-control'], 'no-store')
  t.match(enabled.body, {
    maintenance_enabled: true,
    banner_message: '',
    version: Number,
    recorded: null,
    rule: { id: 'maintenance', scope: { group: 'bots' }, mode: 'read-only', from: null, until: null },
  })
  t.equal((await app.inject({ method: 'POST', url: '/api/bot/start' })).statusCode, 503)
  t.equal((await app.inject({ method: 'POST', url: '/api/bets' })).statusCode, 200)
  const disabled = await ask(app, 'POST', '/admin/maintenance/disable')
  t.match(disabled, { status: 200, body: { maintenance_enabled: false } })
  t.equal((await app.inject({ method: 'POST', url: '/api/bot/start' })).statusCode, 200)
})

t.test(
  'an empty body that says it is JSON is none, and what reads bodies is that of the application',
  async (t) => {
    const app = await serviceWith(t)
    const headers = { ...TOKEN, 'content-type': 'application/json' }
    const url = '/admin/maintenance/enable'
    t.equal((await app.inject({ method: 'POST', url, headers })).statusCode, 200)
    t.equal((await app.inject({ method: 'POST', url, headers, payload: '' })).statusCode, 200)
    t.equal((await app.inject({ method: 'POST', url, headers, payload: '{' })).statusCode, 400)
    t.equal((await app.inject({ method: 'POST', url, headers, payload: '{"__proto__":{}}' })).statusCode, 400)
    const own = Fastify()
    t.teardown(() => own.close())
    own.removeContentTypeParser('application/json')
    own.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, _body, done) => {
      done(Object.assign(new Error('read by the application'), { statusCode: 422 }))
    })
    await own.register(maintenance, { admin: { authorize: () => true } })
    t.equal((await own.inject({ method: 'POST', url, headers, payload: '{}' })).statusCode, 422)
    t.equal((await own.inject({ method: 'POST', url, headers })).statusCode, 200)
  },
)

t.test('enable takes everything that a rule has', async (t) => {
  const app = await serviceWith(t)
  const { status, body } = await ask(app, 'POST', '/admin/maintenance/enable', {
    scope: { tenant: 'acme' },
    mode: 'block',
    methods: ['POST'],
    from: '2126-11-22T20:00:00Z',
    until: '2126-11-22T21:00:00+00:00',
    message: 'We move.',
    reason: 'change 4711',
    allow: { roles: ['admin', 'tester'] },
    announce_ms: 0,
    retry_after_ms: 5000,
  })
  t.equal(status, 200)
  t.same(body.rule, {
    id: 'tenant:acme',
    scope: { tenant: 'acme' },
    mode: 'block',
    methods: ['POST'],
    from: '2126-11-22T20:00:00.000Z',
    until: '2126-11-22T21:00:00.000Z',
    message: 'We move.',
    reason: 'change 4711',
    allow: { roles: ['admin', 'tester'], addresses: [], paths: [] },
    announce_ms: 0,
    retry_after_ms: 5000,
  })
  const { body: overview } = await ask(app, 'GET', '/admin/maintenance')
  t.match(overview, {
    maintenance_enabled: false,
    banner_message: '',
    changed_by: 'operator',
    override: null,
    rules: [{ id: 'tenant:acme', state: 'scheduled' }],
    banner: null,
    writes_in_flight: 0,
  })
})

t.test('rules are set and taken out by name', async (t) => {
  const app = await serviceWith(t)
  t.match(await ask(app, 'PUT', '/admin/maintenance/rules/tonight', { mode: 'drain-writes' }), {
    status: 200,
    body: { rule: { id: 'tonight', mode: 'drain-writes' } },
  })
  t.match(await ask(app, 'GET', '/admin/maintenance/rules/tonight/quiescence'), {
    status: 200,
    body: {
      quiescent: false,
      in_flight: 0,
      complete: false,
      processes: [{ in_flight: 0, seen_ms_ago: Number }],
    },
  })
  t.match(await ask(app, 'DELETE', '/admin/maintenance/rules/tonight'), { status: 200 })
  t.match(await ask(app, 'DELETE', '/admin/maintenance/rules/tonight'), {
    status: 404,
    body: { code: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN' },
  })
  t.match(await ask(app, 'PUT', '/admin/maintenance/rules/a', { id: 'a' }), { status: 200 })
  await ask(app, 'PUT', '/admin/maintenance/rules/b', { scope: { tenant: 'acme' } })
  t.match(await ask(app, 'POST', '/admin/maintenance/disable', { id: 'a' }), { status: 200 })
  t.match(await ask(app, 'POST', '/admin/maintenance/disable', { tenants: true, reason: 'all paid' }), {
    status: 200,
  })
  t.same((await ask(app, 'GET', '/admin/maintenance')).body.rules, [])
})

t.test('the banner is set, shown and taken away', async (t) => {
  const app = await serviceWith(t)
  t.match(await ask(app, 'POST', '/admin/banner', { message: 'Maintenance 2-4 PM' }), {
    status: 200,
    body: { maintenance_enabled: false, banner_message: 'Maintenance 2-4 PM' },
  })
  t.same((await app.inject('/api/status')).json(), {
    maintenance_enabled: false,
    banner_message: 'Maintenance 2-4 PM',
  })
  await ask(app, 'POST', '/admin/banner', {
    message: 'x',
    severity: 'critical',
    until: '2126-11-22T20:00:00Z',
  })
  t.match((await ask(app, 'GET', '/admin/maintenance')).body.banner, {
    message: 'x',
    severity: 'critical',
    from: null,
    until: '2126-11-22T20:00:00.000Z',
  })
  t.match(await ask(app, 'POST', '/admin/banner/clear'), { status: 200, body: { banner_message: '' } })
})

t.test('history says who did what and why, page by page', async (t) => {
  const journal = new MemoryJournal()
  const app = await serviceWith(t, { journal })
  await ask(app, 'POST', '/admin/maintenance/enable', { reason: 'change 4711' })
  await ask(app, 'POST', '/admin/maintenance/disable')
  const first = await ask(app, 'GET', '/admin/maintenance/history?limit=1')
  t.match(first.body.items, [
    { action: 'rules.cleared', by: 'operator', subject: null, reason: null, request_id: /./ },
  ])
  const second = await ask(app, 'GET', `/admin/maintenance/history?limit=1&cursor=${first.body.next_cursor}`)
  t.match(second.body.items, [
    { action: 'rule.set', subject: 'maintenance', reason: 'change 4711', at: /Z$/ },
  ])
  t.equal((await ask(app, 'GET', '/admin/maintenance/history')).body.next_cursor, null)
  t.equal((await ask(app, 'GET', '/admin/maintenance/history?limit=0')).status, 400)
  t.equal((await ask(app, 'GET', '/admin/maintenance/history?limit=x')).status, 400)
})

t.test('bypasses are given out and revoked', async (t) => {
  const app = await serviceWith(t)
  const issued = await ask(app, 'POST', '/admin/maintenance/bypasses', { duration_ms: 60_000 })
  t.match(issued, {
    status: 201,
    body: { token: String, header: 'x-maintenance-bypass', until: /Z$/, id: String },
  })
  await ask(app, 'POST', '/admin/maintenance/enable')
  const headers = { 'x-maintenance-bypass': issued.body.token }
  const start = async () => (await app.inject({ method: 'POST', url: '/api/bot/start', headers })).statusCode
  t.equal(await start(), 200)
  t.equal((await ask(app, 'DELETE', '/admin/maintenance/bypasses')).status, 200)
  t.equal(await start(), 503)
  t.equal(
    (await ask(app, 'POST', '/admin/maintenance/bypasses')).status,
    201,
    'for as long as the settings say',
  )
  const without = await serviceWith(t, { bypass: undefined })
  t.equal((await ask(without, 'POST', '/admin/maintenance/bypasses')).status, 404)
})

t.test('a change of what is not there any more is refused', async (t) => {
  const app = await serviceWith(t)
  const { body } = await ask(app, 'POST', '/admin/maintenance/enable')
  t.equal((await ask(app, 'POST', '/admin/banner', { message: 'x', version: body.version })).status, 200)
  t.match(await ask(app, 'POST', '/admin/maintenance/disable', { version: body.version }), {
    status: 409,
    body: { code: 'HOLDFAST_ERR_MAINTENANCE_CONFLICT' },
  })
})

t.test('what makes no sense is refused in words', async (t) => {
  const app = await serviceWith(t)
  for (const [method, url, payload, message] of [
    ['POST', '/admin/maintenance/enable', { mode: 'off' }, /"mode" must be/],
    ['POST', '/admin/maintenance/enable', { untl: 1 }, /"untl" must be left out/],
    ['POST', '/admin/maintenance/enable', { until: '2001-01-01T00:00:00Z' }, /"until" must be in the future/],
    ['POST', '/admin/maintenance/enable', [], /"body" must be an object/],
    ['POST', '/admin/maintenance/disable', { tenants: 'yes' }, /"tenants" must be true or false/],
    ['POST', '/admin/banner', {}, /"message" must be a text/],
    ['POST', '/admin/banner', { message: 7 }, /"message" must be a text/],
    ['POST', '/admin/banner', { message: 'x', reason: 'a\nb' }, /"reason" must be one line/],
    // Seconds since 1970: as milliseconds they are long gone, and the window would have begun.
    ['POST', '/admin/maintenance/enable', { from: 1_900_000_000 }, /"from" must be a moment such as/],
    ['POST', '/admin/maintenance/enable', { from: true }, /"from" must be a moment such as/],
    ['POST', '/admin/maintenance/enable', { until: [1] }, /"until" must be a moment such as/],
    ['POST', '/admin/maintenance/enable', { announce_ms: -1 }, /"announce_ms" must be/],
    ['POST', '/admin/maintenance/enable', { retry_after_ms: 1 }, /"retry_after_ms" must be/],
    ['POST', '/admin/maintenance/bypasses', { duration_ms: 1e12 }, /"duration_ms" must be/],
    ['POST', '/admin/banner', { message: '' }, /of 1 to 500 characters, received ""/],
    ['POST', '/admin/banner', { message: 'x', from: 5 }, /"from" must be a moment such as/],
    ['PUT', '/admin/maintenance/rules/a', undefined, /"the body" must be a JSON object, {} for the defaults/],
    ['PUT', '/admin/maintenance/rules/a%20b', {}, /"id" must be a name/],
    ['PUT', '/admin/maintenance/rules/a', { id: 'b' }, /"id" must be left out, or "a" as in the path/],
  ] as const) {
    const { status, body } = await ask(app, method, url, payload)
    t.match([status, body.code, body.message], [400, 'HOLDFAST_ERR_MAINTENANCE_RULE', message], url)
  }
})

t.test('nobody else may use them', async (t) => {
  const app = await serviceWith(t)
  const url = '/admin/maintenance/enable'
  const anonymous = await app.inject({ method: 'POST', url })
  t.match(anonymous.json(), { statusCode: 401, code: 'HOLDFAST_ERR_MAINTENANCE_UNAUTHENTICATED' })
  t.match(anonymous.headers['www-authenticate'], /^Bearer/)
  const other = await app.inject({ method: 'POST', url, headers: { authorization: 'Bearer x' } })
  t.match(other.json(), { statusCode: 403, code: 'HOLDFAST_ERR_MAINTENANCE_FORBIDDEN' })
  const nobody = await serviceWith(t, { admin: {} })
  t.equal((await nobody.inject({ method: 'POST', url, headers: TOKEN })).statusCode, 403)
  t.equal(app.maintenance.plan, undefined)
})

t.test('what a file or a setting says is shown', async (t) => {
  const app = await serviceWith(t, { force: 'on' })
  t.match((await ask(app, 'GET', '/admin/maintenance')).body, {
    maintenance_enabled: true,
    version: 0,
    changed_at: null,
    changed_by: null,
    override: { origin: 'setting', rules: [{ id: 'maintenance' }] },
  })
})

t.test('a body that nobody has said the length of is read: over HTTP/2 as well', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  // The types know one kind of server; what is registered does not mind.
  await app.register(maintenance as never, { admin: { authorize: () => true } } as never)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  const enable = async (payload?: string) => {
    const request = session.request(
      { ':method': 'POST', ':path': '/admin/maintenance/enable', 'content-type': 'application/json' },
      { endStream: payload === undefined },
    )
    if (payload !== undefined) request.end(payload)
    request.setEncoding('utf8')
    let text = ''
    request.on('data', (chunk: string) => {
      text += chunk
    })
    await once(request, 'end')
    return JSON.parse(text)
  }
  t.match(await enable('{"mode":"read-only"}'), { rule: { mode: 'read-only' } })
  t.match(await enable(), { rule: { mode: 'block' } })
})

t.test('why something was taken out is said in the query, and which version was meant', async (t) => {
  const app = await serviceWith(t)
  const { body } = await ask(app, 'PUT', '/admin/maintenance/rules/a', { scope: 'all' })
  t.same(body.rule.scope, {})
  const url = '/admin/maintenance/rules/a'
  t.equal((await ask(app, 'DELETE', `${url}?version=${body.version - 1}`)).status, 409)
  t.equal((await ask(app, 'DELETE', `${url}?force=1`)).status, 400)
  t.equal((await ask(app, 'DELETE', `${url}?version=${body.version}&reason=all%20paid`)).status, 200)
  t.equal((await ask(app, 'DELETE', '/admin/maintenance/bypasses?reason=lost')).status, 200)
  t.match((await ask(app, 'GET', '/admin/maintenance/history')).body.items, [
    { action: 'bypass.revoked', reason: 'lost' },
    { action: 'rule.removed', reason: 'all paid' },
    { action: 'rule.set' },
  ])
})

t.test('a group that no route here belongs to is set, and said to be one', async (t) => {
  const app = await serviceWith(t)
  app.get('/odds', { config: { maintenance: { group: 'odds' } } }, async () => 'odds')
  const warningOf = async (group: string) =>
    (await ask(app, 'PUT', '/admin/maintenance/rules/a', { scope: { group } })).body.warning
  t.same([await warningOf('bots'), await warningOf('odds')], [null, null])
  t.equal(await warningOf('bot'), 'no route here is of the group "bot", but of bots, odds')
  t.equal((await ask(app, 'POST', '/admin/maintenance/enable', { scope: 'all' })).body.warning, null)
})

t.test('whatever an operator is called, he can open what is closed', async (t) => {
  for (const [name, by] of [
    ['', null],
    ['x'.repeat(5000), 'x'.repeat(200)],
  ] as const) {
    const app = await serviceWith(t, { admin: { authorize: () => true, actor: () => name } })
    t.equal((await ask(app, 'POST', '/admin/maintenance/enable')).status, 200)
    t.equal((await ask(app, 'POST', '/admin/maintenance/disable')).status, 200)
    t.match((await ask(app, 'GET', '/admin/maintenance/history')).body.items, [{ by }, { by }])
  }
})
