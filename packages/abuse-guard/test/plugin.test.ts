import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect, type Socket } from 'node:net'
import { HandClock } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import plugin, { type AbuseGuardOptions, abuseGuard } from '../src/index.ts'

interface Given {
  readonly options?: AbuseGuardOptions<FastifyRequest>
  readonly server?: FastifyServerOptions
  readonly before?: (app: FastifyInstance) => Promise<unknown>
}

async function appWithGuard(t: Test, { options = {}, server = {}, before }: Given = {}) {
  const clock = new HandClock()
  const lines: { level: number; msg: string }[] = []
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const app = Fastify({ logger: { level: 'warn', stream }, ...server })
  t.teardown(() => app.close())
  await before?.(app)
  await app.register(abuseGuard, { clock, seed: 1, maxPerMinute: 3, ...options })
  app.get('/', async () => 'ok')
  return { app, clock, lines }
}

const statuses = async (app: FastifyInstance, count: number, request: object = { url: '/' }) => {
  const codes: number[] = []
  for (let at = 0; at < count; at += 1) codes.push((await app.inject(request)).statusCode)
  return codes
}

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, abuseGuard)
})

t.test('works with its defaults alone', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(abuseGuard)
  app.get('/', async () => 'ok')
  const codes = await statuses(app, 102)
  t.same([codes[99], codes[100], codes[101]], [200, 429, 429])
})

t.test('a blocked client gets a problem document that says when to come back', async (t) => {
  const { app, clock } = await appWithGuard(t)
  t.same(await statuses(app, 4), [200, 200, 200, 429])
  await clock.advance(899_500)
  const answer = await app.inject('/')
  t.equal(answer.statusCode, 429)
  t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
  t.equal(answer.headers['retry-after'], '1')
  t.equal(answer.headers['cache-control'], 'no-store')
  t.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.body))
  t.same(answer.json(), {
    type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
    title: 'Too Many Requests',
    status: 429,
    error: 'HOLDFAST_ERR_ABUSE_GUARD_BLOCKED',
    detail: 'too many requests came from this address; it is blocked for a while',
    retry_after: 1,
  })
  await clock.advance(500)
  t.same(await statuses(app, 1), [200])
})

t.test('a person who is blocked gets a page, past everything else, and a program the document', async (t) => {
  const { app } = await appWithGuard(t, {
    options: {
      page: ({ headers }, { statusCode, code, message, retryAfterSeconds }) =>
        headers.accept === 'text/html'
          ? {
              headers: { 'content-type': 'text/html; charset=utf-8' },
              body: `<p>${statusCode} ${code} ${message} ${retryAfterSeconds} ü</p>`,
            }
          : undefined,
    },
  })
  app.addHook('onSend', async () => t.fail('no hook runs'))
  await app.abuseGuard.block('127.0.0.1')
  const page = await app.inject({ url: '/', headers: { accept: 'text/html' } })
  t.match(page, {
    statusCode: 429,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': '900',
    },
    body: /^<p>429 HOLDFAST_ERR_ABUSE_GUARD_BLOCKED too many requests.* 900 ü<\/p>$/,
  })
  t.equal(Number(page.headers['content-length']), Buffer.byteLength(page.body))
  t.match((await app.inject('/')).json(), { status: 429, retry_after: 900 })
})

t.test('no hook, no parser and no handler behind it runs for a blocked client', async (t) => {
  const { app } = await appWithGuard(t)
  let ran = 0
  app.addHook('onRequest', async () => {
    ran += 1
  })
  app.post('/', async () => {
    ran += 1
  })
  await app.abuseGuard.block('127.0.0.1')
  t.equal((await app.inject({ method: 'POST', url: '/', payload: { a: 1 } })).statusCode, 429)
  t.equal((await app.inject({ method: 'HEAD', url: '/' })).body, '')
  t.equal(ran, 0)
})

/** Writes a text on a connection and answers everything that comes back until the end, or until `until` is there. */
async function talk(
  app: FastifyInstance,
  text: string,
  until?: RegExp,
): Promise<{ text: string; socket: Socket }> {
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  let received = ''
  const arrived = Promise.withResolvers<void>()
  socket.on('data', (chunk) => {
    received += chunk
    if (until?.test(received)) arrived.resolve()
  })
  socket.write(text)
  await (until === undefined ? once(socket, 'close') : arrived.promise)
  return { text: received, socket }
}

t.test('the answer comes before the body, and ends the connection that would bring it', async (t) => {
  const { app } = await appWithGuard(t)
  app.post('/', async () => 'never')
  await app.listen({ port: 0, host: '127.0.0.1' })
  await app.abuseGuard.block('127.0.0.1')
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  const announced = await talk(app, `${head}Content-Length: 1000000\r\n\r\n{`)
  t.match(announced.text, /^HTTP\/1\.1 429 /)
  t.match(announced.text, /connection: close/i)
  const chunked = await talk(app, `${head}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`)
  t.match(chunked.text, /^HTTP\/1\.1 429 [\s\S]*connection: close/i)
})

t.test('who sends a megabyte slowly is answered before it, and cannot go on sending', async (t) => {
  const { app } = await appWithGuard(t)
  app.post('/', async () => 'never')
  await app.listen({ port: 0, host: '127.0.0.1' })
  await app.abuseGuard.block('127.0.0.1')
  const address = app.server.address()
  const socket = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1')
  socket.on('error', () => {})
  let received = ''
  let sent = 0
  // `once` would reject with the error of a socket that writes when nobody reads any more.
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n')
  socket.on('data', (chunk) => {
    received += chunk
  })
  const sender = setInterval(() => {
    sent += 100
    socket.write('x'.repeat(100))
  }, 5)
  await closed
  clearInterval(sender)
  t.match(received, /^HTTP\/1\.1 429 [\s\S]*"retry_after":900}$/)
  t.ok(sent < 100_000, `${sent} bytes were sent`)
})

t.test('a connection that was opened before a block is refused during it, and of use after it', async (t) => {
  const { app, clock } = await appWithGuard(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const ask = () =>
    new Promise<[status: number | undefined, reused: boolean]>((resolve, reject) => {
      const asked = get({ host: '127.0.0.1', port, agent }, (answer) => {
        answer.resume()
        answer.on('end', () => resolve([answer.statusCode, asked.reusedSocket]))
      })
      asked.on('error', reject)
    })
  for (const status of [200, 200, 200, 429, 429]) t.equal((await ask())[0], status)
  await clock.advance(900_000)
  t.same(await ask(), [200, true])
})

t.test('without a body the connection stays, because a new one would cost more', async (t) => {
  const { app } = await appWithGuard(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  await app.abuseGuard.block('127.0.0.1')
  const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
  const { text, socket } = await talk(app, request + request, /retry_after[\s\S]*retry_after":900}/)
  t.equal(text.match(/HTTP\/1\.1 429/g)?.length, 2)
  t.notMatch(text, /connection: close/i)
  socket.destroy()
})

t.test('what is not found is counted like everything else', async (t) => {
  const { app } = await appWithGuard(t)
  t.same(await statuses(app, 5, { url: '/nothing' }), [404, 404, 404, 429, 429])
})

t.test('probes are never counted and never refused', async (t) => {
  const { app } = await appWithGuard(t)
  // As `@holdfast/health` marks its routes.
  app.get('/healthz', { config: { health: 'probe' } as object }, async () => 'ok')
  t.same(await statuses(app, 10, { url: '/healthz' }), Array(10).fill(200))
  t.equal(app.abuseGuard.snapshot().counted, 0)
  await app.abuseGuard.block('127.0.0.1')
  t.same(await statuses(app, 1, { url: '/healthz' }), [200])
  t.same(await statuses(app, 1), [429])
})

t.test('a route may cost more, nothing, let the blocked in, or not be guarded at all', async (t) => {
  const { app } = await appWithGuard(t)
  app.get('/dear', { config: { abuseGuard: { cost: 3 } } }, async () => 'ok')
  app.get('/free', { config: { abuseGuard: { cost: 0 } } }, async () => 'ok')
  app.get('/open', { config: { abuseGuard: { admitBlocked: true } } }, async () => 'ok')
  app.get('/apart', { config: { abuseGuard: false } }, async () => 'ok')
  t.same(await statuses(app, 10, { url: '/free' }), Array(10).fill(200))
  t.same(await statuses(app, 10, { url: '/apart' }), Array(10).fill(200))
  t.equal(app.abuseGuard.snapshot().counted, 0)
  t.same(await statuses(app, 3, { url: '/dear' }), [200, 429, 429])
  t.same(await statuses(app, 1, { url: '/free' }), [429])
  const { refused } = app.abuseGuard.snapshot()
  t.same(await statuses(app, 1, { url: '/open' }), [200])
  t.same(await statuses(app, 1, { url: '/apart' }), [200])
  t.equal(app.abuseGuard.snapshot().refused, refused, 'who is let in is not refused')
})

t.test('a wrong setting of a route fails when the route is declared', async (t) => {
  const { app } = await appWithGuard(t)
  for (const [setting, message] of [
    [{ cost: -1 }, /config\.abuseGuard\.cost of \/x" must be a whole number from 0 to 1000, received -1/],
    [{ price: 2 }, /left out \(accepted: cost, admitBlocked\)/],
    [{ admitBlocked: 'yes' }, /must be true or false/],
    [true, /must be an object/],
  ] as const) {
    t.throws(() => app.get('/x', { config: { abuseGuard: setting as never } }, async () => 'ok'), {
      code: 'HOLDFAST_ERR_ABUSE_GUARD_OPTION',
      message,
    })
  }
})

t.test('answers count by their status', async (t) => {
  const { app } = await appWithGuard(t, { options: { maxPerMinute: 10, weights: { 401: 5, 404: 1 } } })
  app.get('/private', async (_request, reply) => reply.code(401).send())
  t.same(await statuses(app, 3, { url: '/private' }), [401, 401, 429], 'two made 10')
  await app.abuseGuard.unblock('127.0.0.1')
  t.same(await statuses(app, 11, { url: '/nothing' }), [...Array(10).fill(404), 429])
})

t.test('nobody is blocked for what somebody else writes into X-Forwarded-For', async (t) => {
  const { app } = await appWithGuard(t, {
    server: { trustProxy: ['127.0.0.1'] },
    options: { onDoubt: 'block' },
  })
  // The attacker names his victim; the proxy, which is trusted, adds the attacker.
  const forged = { url: '/', headers: { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' } }
  t.same(await statuses(app, 4, forged), [200, 200, 200, 429])
  t.same(
    app.abuseGuard.list().map(({ address }) => address),
    ['203.0.113.9'],
  )
  t.same(await statuses(app, 1, { url: '/', headers: { 'x-forwarded-for': '198.51.100.7' } }), [200])
})

t.test('without a proxy X-Forwarded-For is nobody’s name', async (t) => {
  const { app } = await appWithGuard(t, { options: { onDoubt: 'block' } })
  const codes: number[] = []
  for (let at = 0; at < 5; at += 1) {
    const headers = { 'x-forwarded-for': `198.51.100.${at}` }
    codes.push((await app.inject({ url: '/', headers })).statusCode)
  }
  t.same(codes, [200, 200, 200, 429, 429])
  t.same(
    app.abuseGuard.list().map(({ address }) => address),
    ['127.0.0.1'],
  )
})

t.test(
  'with trustProxy: true nobody is blocked, because everybody can choose his address; and it is said',
  async (t) => {
    const { app, lines } = await appWithGuard(t, { server: { trustProxy: true } })
    t.notOk(
      (await statuses(app, 20, { url: '/', headers: { 'x-forwarded-for': '198.51.100.7' } })).includes(429),
    )
    t.match(lines, [{ level: 50, msg: /blocks nobody by counting.*trustProxy/ }, { level: 50 }])
    t.equal(app.abuseGuard.snapshot().doubt, 'anybody-is-believed')
  },
)

t.test('behind a proxy that Fastify does not trust nobody is blocked, and it is said', async (t) => {
  for (const trustProxy of [false, 1 as never, '10.0.0.0/8']) {
    const { app, lines } = await appWithGuard(t, { server: { trustProxy } })
    const codes: number[] = []
    for (let at = 0; at < 20; at += 1) {
      const headers = { 'x-forwarded-for': `198.51.100.${at}` }
      codes.push((await app.inject({ url: '/', headers })).statusCode)
    }
    t.notOk(codes.includes(429))
    t.match(lines, [{ level: 50, msg: /may be a proxy: tell Fastify's "trustProxy" its addresses/ }])
  }
})

t.test('an address of your own is not doubted', async (t) => {
  const { app } = await appWithGuard(t, {
    server: { trustProxy: true },
    options: {
      address: (request) => request.headers['cf-connecting-ip'] as string | undefined,
    },
  })
  const from = (address: string) => ({
    url: '/',
    headers: { 'cf-connecting-ip': address, 'x-forwarded-for': '198.51.100.7' },
  })
  t.same(await statuses(app, 4, from('203.0.113.9')), [200, 200, 200, 429])
  t.same(await statuses(app, 1, from('203.0.113.10')), [200])
  t.same(await statuses(app, 5), Array(5).fill(200), 'without the header nothing is counted')
  t.equal(app.abuseGuard.snapshot().unreadable, 5)
})

t.test('an address that is none is told of once, and a promise of one ends nothing', async (t) => {
  for (const [address, what] of [
    [() => Promise.reject(new Error('nobody waits for it')), /it answered a promise/],
    [() => 5, /it answered a value of the type number/],
  ] as const) {
    const { app, lines } = await appWithGuard(t, { options: { address: address as never } })
    t.same(await statuses(app, 5), Array(5).fill(200))
    t.equal(app.abuseGuard.snapshot().unreadable, 5)
    t.match(lines, [{ level: 50, msg: what }])
    t.equal(lines.length, 1)
    await new Promise(setImmediate)
  }
})

t.test('it is refused a second time in one scope, and where one around it has it', async (t) => {
  const { app } = await appWithGuard(t)
  await t.rejects(async () => app.register(abuseGuard), {
    code: 'HOLDFAST_ERR_ABUSE_GUARD_ALREADY_REGISTERED',
  })
})

t.test('in a scope of its own it guards that scope', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async (scope) => {
    await scope.register(abuseGuard, { maxPerMinute: 1 })
    scope.get('/inside', async () => 'ok')
  })
  app.get('/outside', async () => 'ok')
  t.same(await statuses(app, 3, { url: '/inside' }), [200, 429, 429])
  t.same(await statuses(app, 3, { url: '/outside' }), [200, 200, 200])
})

t.test('beside health it reports to the page for security', async (t) => {
  const reports: [page: string, name: string, produce: () => object][] = []
  const addReport = (...report: [string, string, () => object]) => void reports.push(report)
  const { app } = await appWithGuard(t, {
    before: async (app) => app.decorate('health', { addReport } as never),
  })
  await app.abuseGuard.block('192.0.2.1')
  const [report] = reports
  t.match(report, ['security', 'abuse-guard'])
  t.match(report?.[2](), { blocked: 1, blocks: { manual: 1 } })
})

t.test('no timer is left when the application has closed', async (t) => {
  const { app, clock } = await appWithGuard(t)
  await app.ready()
  t.ok(clock.pendingTimers > 0)
  await app.close()
  t.equal(clock.pendingTimers, 0)
})
