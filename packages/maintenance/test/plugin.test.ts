import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { probeConfig } from '@holdfast/footing'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import plugin, { type MaintenanceOptions, maintenance } from '../src/index.ts'

const PROBLEM = 'application/problem+json; charset=utf-8'
const KEY = 'k'.repeat(32)

interface Named {
  user?: string
}

/** A service with a few routes. Who asks is found out from a header, after maintenance had its first look. */
async function serviceWith(
  t: Test,
  options: MaintenanceOptions<FastifyRequest> = {},
): Promise<FastifyInstance> {
  const app = Fastify({ genReqId: () => 'req-1' })
  t.teardown(() => app.close())
  await app.register(maintenance, {
    random: () => 0,
    roles: (request) => ((request as Named).user === 'root' ? ['admin'] : ['user']),
    tenant: ({ headers, params }) =>
      (headers['x-tenant'] as string | undefined) ?? (params as { tenant?: string } | null)?.tenant,
    groups: { bots: ['/api/bot'] },
    open: ['/login'],
    ...options,
  })
  app.addHook('onRequest', async (request) => {
    const { authorization } = request.headers
    if (authorization !== undefined) (request as Named).user = authorization.replace('Bearer ', '')
  })
  app.get('/healthz', { config: { ...probeConfig } as object }, async () => 'alive')
  app.get('/metrics', { config: { maintenance: false } }, async () => 'numbers')
  app.post('/login/form', async () => 'in')
  app.get('/api/bot/status', async (request) => ({ readOnly: request.maintenance.readOnly }))
  app.post('/api/bot/start', async (request) => ({ readOnly: request.maintenance.readOnly }))
  app.post('/api/bets', async () => 'bet')
  app.put('/special', { config: { maintenance: { group: 'bots' } } }, async () => 'special')
  app.get('/:tenant/theme', async () => 'theme')
  return app
}

const status = async (
  app: FastifyInstance,
  method: 'GET' | 'POST' | 'PUT' | 'OPTIONS',
  url: string,
  headers = {},
) => (await app.inject({ method, url, headers })).statusCode

t.test('the default export is the named one, and the plugin is registered once', async (t) => {
  t.equal(plugin, maintenance)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(maintenance)
  await t.rejects(async () => app.register(maintenance), {
    code: 'HOLDFAST_ERR_MAINTENANCE_ALREADY_REGISTERED',
  })
})

t.test('what is closed answers 503 with what a program needs, and nothing is cached', async (t) => {
  const app = await serviceWith(t)
  await app.maintenance.set({ until: new Date(app.maintenance.wallMs() + 60_000), message: 'We move.' })
  const answer = await app.inject({ method: 'POST', url: '/api/bets' })
  t.equal(answer.statusCode, 503)
  t.match(answer.headers, { 'retry-after': '60', 'cache-control': 'no-store', 'content-type': PROBLEM })
  t.match(answer.json(), {
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    error: 'HOLDFAST_ERR_MAINTENANCE_ACTIVE',
    detail: 'We move.',
    message: 'We move.',
    retry_after: 60,
    maintenance: { mode: 'block', from: null, until: /^\d{4}-.*Z$/ },
    correlation_id: 'req-1',
  })
  t.equal(await status(app, 'GET', '/nowhere'), 503, 'also where there is nothing')
  t.equal(await status(app, 'OPTIONS', '/nowhere'), 404)
  await app.maintenance.clear()
  t.equal(await status(app, 'POST', '/api/bets'), 200)
  t.equal(await status(app, 'GET', '/nowhere'), 404)
})

t.test('nobody can lock himself out: probes, sign-in, metrics and status stay open', async (t) => {
  const app = await serviceWith(t, { admin: { authorize: () => true } })
  await app.maintenance.set({ allow: { roles: [] } })
  t.equal(await status(app, 'GET', '/healthz'), 200)
  t.equal(await status(app, 'GET', '/metrics'), 200)
  t.equal(await status(app, 'POST', '/login/form'), 200)
  t.equal(await status(app, 'GET', '/api/status'), 200)
  t.equal(await status(app, 'GET', '/api/status/maintenance'), 200)
  t.equal(await status(app, 'POST', '/api/bets'), 503)
  t.equal(await status(app, 'POST', '/admin/maintenance/disable'), 200)
  t.equal(await status(app, 'POST', '/api/bets'), 200)
})

t.test(
  'read-only of a group: its POST is refused, its GET may only read, all else goes on, administrators too',
  async (t) => {
    const app = await serviceWith(t)
    await app.maintenance.set({ scope: { group: 'bots' }, mode: 'read-only' })
    t.equal(await status(app, 'POST', '/api/bot/start'), 503)
    t.equal(await status(app, 'PUT', '/special'), 503, 'a group named by the route')
    t.equal(await status(app, 'POST', '/api/bets'), 200)
    t.same((await app.inject('/api/bot/status')).json(), { readOnly: true })
    const root = { authorization: 'Bearer root' }
    const started = await app.inject({ method: 'POST', url: '/api/bot/start', headers: root })
    t.same([started.statusCode, started.json()], [200, { readOnly: false }])
    t.equal(await status(app, 'POST', '/api/bot/start', { authorization: 'Bearer alice' }), 503)
    t.match(app.maintenance.snapshot(), { refused: { 'read-only': 3 }, passed: { role: 1 } })
    await app.maintenance.clear()
    t.same((await app.inject('/api/bot/status')).json(), { readOnly: false })
  },
)

t.test('one tenant: 403 for as long as nobody knows, 503 when there is an end', async (t) => {
  const app = await serviceWith(t)
  await app.maintenance.set({ scope: { tenant: 'acme' }, message: 'Call us.' })
  const blocked = await app.inject('/acme/theme')
  t.equal(blocked.statusCode, 403)
  t.equal(blocked.headers['retry-after'], undefined)
  t.match(blocked.json(), {
    error: 'HOLDFAST_ERR_MAINTENANCE_TENANT_BLOCKED',
    detail: 'Call us.',
    title: 'Forbidden',
  })
  t.equal(await status(app, 'GET', '/globex/theme'), 200)
  t.equal(await status(app, 'POST', '/api/bets', { 'x-tenant': 'acme' }), 403)
  t.equal(await status(app, 'POST', '/api/bets'), 200)
  await app.maintenance.set({ scope: { tenant: 'acme' }, until: app.maintenance.wallMs() + 5000 })
  t.equal(await status(app, 'GET', '/acme/theme'), 503)
})

t.test('addresses and bypasses pass, and are counted', async (t) => {
  const app = await serviceWith(t, { bypass: { keys: [KEY], secure: false } })
  await app.maintenance.set({ allow: { addresses: ['192.0.2.0/24'] } })
  const from = async (remoteAddress: string, headers = {}) =>
    (await app.inject({ method: 'POST', url: '/api/bets', remoteAddress, headers })).statusCode
  t.equal(await from('192.0.2.7'), 200)
  t.equal(await from('198.51.100.1'), 503)
  const { token } = app.maintenance.issueBypass(60_000)
  t.equal(await from('198.51.100.1', { 'x-maintenance-bypass': token }), 200)
  t.equal(await from('198.51.100.1', { 'x-maintenance-bypass': `${token}x` }), 503)
  const taken = await app.inject({
    method: 'POST',
    url: '/api/status/maintenance/bypass',
    payload: { token },
  })
  t.equal(taken.statusCode, 204)
  const cookie = String(taken.headers['set-cookie'])
  t.match(cookie, /^maintenance-bypass=\S+; Path=\/; Max-Age=(59|60); HttpOnly; SameSite=Lax$/)
  t.equal(await from('198.51.100.1', { cookie: `a=1; ${cookie.split(';')[0]}` }), 200)
  await app.maintenance.revokeBypasses()
  t.equal(await from('198.51.100.1', { cookie: `a=1; ${cookie.split(';')[0]}` }), 503)
  t.match(app.maintenance.snapshot().passed, { address: 1, bypass: 2 })
  for (const payload of [{ token: 'x' }, {}]) {
    const refused = await app.inject({ method: 'POST', url: '/api/status/maintenance/bypass', payload })
    t.match([refused.statusCode, refused.json().code], [403, 'HOLDFAST_ERR_MAINTENANCE_BYPASS'])
  }
})

t.test('the log says who got a bypass and where it was used, and not what it is', async (t) => {
  const lines: string[] = []
  const app = Fastify({ logger: { stream: { write: (line: string) => void lines.push(line) } } })
  t.teardown(() => app.close())
  await app.register(maintenance, { bypass: { keys: [KEY] } })
  app.get('/', async () => 'ok')
  const { token, id } = app.maintenance.issueBypass(60_000, { by: 'alice', reason: 'change 4711' })
  const headers = { 'x-maintenance-bypass': token }
  t.equal((await app.inject({ url: '/', headers })).statusCode, 200)
  const ofBypasses = () => lines.map((line) => JSON.parse(line)).filter(({ bypass }) => bypass === id)
  t.match(ofBypasses(), [{ by: 'alice', reason: 'change 4711', until: /Z$/, msg: /was given out/ }])
  await app.maintenance.set({})
  t.equal((await app.inject({ url: '/', headers })).statusCode, 200)
  t.match(ofBypasses().at(-1), { reqId: String, msg: /was used/ })
  t.notMatch(lines.join(''), token)
})

t.test('a secure cookie is bound to its host', async (t) => {
  const app = await serviceWith(t, { bypass: { keys: [KEY] } })
  const { token } = app.maintenance.issueBypass(60_000)
  const taken = await app.inject({
    method: 'POST',
    url: '/api/status/maintenance/bypass',
    payload: { token },
  })
  t.match(taken.headers['set-cookie'], /^__Host-maintenance-bypass=.*; Path=\/; .*; Secure$/)
})

t.test('a person gets a page where there is one, and a page that fails takes no refusal away', async (t) => {
  const shown: unknown[] = []
  const app = await serviceWith(t, {
    page: ({ headers }, refused) => {
      shown.push(refused)
      if (headers.accept === 'broken') throw new Error('no page')
      return headers.accept === 'text/html'
        ? { headers: { 'content-type': 'text/html' }, body: '<p>' }
        : undefined
    },
  })
  await app.maintenance.set({ message: 'We move.' })
  const page = await app.inject({ url: '/', headers: { accept: 'text/html' } })
  t.match(
    [page.statusCode, page.body, page.headers['content-type'], page.headers['retry-after']],
    [503, '<p>', 'text/html', '120'],
  )
  t.match(shown, [
    { statusCode: 503, message: 'We move.', retryAfterSeconds: 120, expose: true, page: 'maintenance' },
  ])
  const broken = await app.inject({ url: '/', headers: { accept: 'broken' } })
  t.match([broken.statusCode, broken.headers['content-type']], [503, PROBLEM])
})

t.test('the status is what everybody may know, and does not travel twice', async (t) => {
  const app = await serviceWith(t)
  const before = await app.inject('/api/status')
  t.same(before.json(), { maintenance_enabled: false, banner_message: '' })
  t.equal(await status(app, 'GET', '/api/status', { 'if-none-match': String(before.headers['etag']) }), 304)
  await app.maintenance.setBanner({ message: 'hello', severity: 'warning' })
  await app.maintenance.set({ scope: { group: 'bots' }, mode: 'read-only', message: 'We move.' })
  await app.maintenance.set({ scope: { tenant: 'acme' } })
  const after = await app.inject({
    url: '/api/status',
    headers: { 'if-none-match': String(before.headers['etag']) },
  })
  t.same([after.statusCode, after.json()], [200, { maintenance_enabled: true, banner_message: 'hello' }])
  t.same((await app.inject('/api/status/maintenance')).json(), {
    maintenance_enabled: true,
    banner_message: 'hello',
    banner: { message: 'hello', severity: 'warning', origin: 'banner', from: null, until: null },
    maintenance: [
      { mode: 'read-only', group: 'bots', message: 'We move.', active: true, from: null, until: null },
    ],
  })
})

t.test('the status may be elsewhere, or nowhere', async (t) => {
  const elsewhere = await serviceWith(t, { status: '/state' })
  t.equal(await status(elsewhere, 'GET', '/state'), 200)
  const nowhere = await serviceWith(t, { status: false })
  t.equal(await status(nowhere, 'GET', '/api/status'), 404)
})

t.test('a tenant that cannot be told any more keeps no process from hearing of changes', async (t) => {
  let isBroken = false
  const tenant = () => {
    if (isBroken) throw new Error('it is not known any more')
    return 'acme'
  }
  const app = await serviceWith(t, { tenant })
  const gates = [Promise.withResolvers<string>(), Promise.withResolvers<string>()] as const
  let begun = 0
  app.post('/gate', () => gates[begun++ % 2]?.promise)
  const answers = gates.map(() => app.inject({ method: 'POST', url: '/gate' }))
  await waitUntil(() => begun === 2)
  isBroken = true
  await app.maintenance.set({ id: 'drain', mode: 'drain-writes', scope: { tenant: 'acme' } })
  t.equal(await app.maintenance.sync(), true)
  t.equal((await app.maintenance.quiescence('drain')).inFlight, 2)
  for (const [at, gate] of gates.entries()) {
    gate.resolve('done')
    t.equal((await answers[at])?.statusCode, 200)
  }
  t.equal((await app.maintenance.quiescence('drain')).inFlight, 0)
})

t.test('a write that has begun is counted to its end, also when its client has left', async (t) => {
  const app = await serviceWith(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  let runs = 0
  app.post('/slow', async () => {
    runs += 1
    await promise
    return 'done'
  })
  app.post('/late', (_request, reply) => {
    runs += 1
    void promise.then(() => reply.send('late'))
  })
  app.post('/failing', async () => {
    throw new Error('no')
  })
  app.post('/throwing', () => {
    throw new Error('no')
  })
  app.post('/at-once', () => 'x')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  for (const path of ['/failing', '/throwing']) t.equal(await status(app, 'POST', path), 500)
  t.equal(await status(app, 'POST', '/at-once'), 200)
  t.equal(app.maintenance.snapshot().writesInFlight, 0)
  const socket = connect(port, '127.0.0.1')
  socket.write('POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')
  const late = app.inject({ method: 'POST', url: '/late' })
  await waitUntil(() => runs === 2, { what: 'both to run' })
  t.equal(app.maintenance.snapshot().writesInFlight, 2)
  const closed = once(socket, 'close')
  socket.destroy()
  await closed
  await app.maintenance.set({ id: 'drain', mode: 'drain-writes' })
  t.equal(app.maintenance.snapshot().writesInFlight, 2)
  resolve()
  t.equal((await late).statusCode, 200)
  await waitUntil(() => app.maintenance.snapshot().writesInFlight === 0, { what: 'the end of both' })
})

t.test('a write whose body was still on its way when a rule began does not begin', async (t) => {
  const app = await serviceWith(t)
  let runs = 0
  app.post('/upload', async () => {
    runs += 1
    return 'done'
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const begun = once(app.server, 'request')
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(
    'POST /upload HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n',
  )
  await begun
  await app.maintenance.set({ mode: 'drain-writes', message: 'We drain.' })
  socket.write('{}')
  const [data] = (await once(socket, 'data')) as [Buffer]
  t.match(data.toString(), /^HTTP\/1\.1 503 /)
  t.match(data.toString(), /We drain\./)
  t.equal(runs, 0)
})

t.test('routes say what they are, and a wrong word is refused', async (t) => {
  const app = await serviceWith(t)
  for (const config of [{ group: 'a b' }, { groups: 'x' }, 'bots', true]) {
    t.throws(() => app.get('/wrong', { config: { maintenance: config as never } }, async () => ''), {
      code: 'HOLDFAST_ERR_MAINTENANCE_OPTION',
    })
  }
})

t.test('health is told what is in force, where there is one', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const reports: unknown[] = []
  const health = {
    addReport(page: string, name: string, produce: () => object) {
      reports.push([page, name, produce()])
      return () => {}
    },
  }
  app.decorate('health', health as unknown as FastifyInstance['health'])
  await app.register(maintenance)
  t.match(reports, [['check', 'maintenance', { version: 0, enabled: false, heard: false }]])
})

t.test('a service whose address function and clock are its own uses them', async (t) => {
  const clock = new HandClock()
  const app = await serviceWith(t, { clock, address: ({ headers }) => headers['x-address'] as string })
  await app.maintenance.set({ allow: { addresses: ['192.0.2.1'] }, until: clock.wallMs() + 1000 })
  t.equal(await status(app, 'POST', '/api/bets', { 'x-address': '192.0.2.1' }), 200)
  t.equal(await status(app, 'POST', '/api/bets'), 503)
  await clock.advance(1000)
  t.equal(await status(app, 'POST', '/api/bets'), 200)
})
