import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { HttpLoad, type LoadTarget } from '../src/harness/http-load.ts'

const target = { path: '/theme', headers: {}, expectStatus: 200, durationMs: 60 }
const connections = 3

async function load(t: Test, port: number, changes: Partial<LoadTarget> = {}) {
  const load = new HttpLoad()
  t.teardown(() => load.close())
  await load.open(port, connections)
  return load.drive({ ...target, ...changes, port })
}

async function overHttp(t: Test, listener: RequestListener, changes: Partial<LoadTarget> = {}) {
  const server = createHttpServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return load(t, (server.address() as AddressInfo).port, changes)
}

/** A server that answers each request with exactly these bytes, written one after the other. */
async function overTcp(t: Test, parts: readonly string[]) {
  const sockets = new Set<Socket>()
  const server = createTcpServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      parts.forEach((part, index) => {
        setTimeout(() => socket.writable && socket.write(part), index * 5)
      })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return load(t, (server.address() as AddressInfo).port)
}

t.test('counts every answer that the server gave, and its latency', async (t) => {
  let answered = 0
  const result = await overHttp(t, (_request, response) => {
    answered += 1
    response.end('hello')
  })
  t.equal(result.answers, answered)
  t.ok(result.answers >= connections)
  t.equal(result.failures, 0)
  t.ok(result.p50Ms > 0 && result.p50Ms <= result.p99Ms && result.p99Ms <= result.maxMs)
  t.ok(result.elapsedMs >= target.durationMs)
})

t.test('keeps one request in flight per connection', async (t) => {
  let inFlight = 0
  let most = 0
  await overHttp(t, (_request, response) => {
    inFlight += 1
    most = Math.max(most, inFlight)
    setTimeout(() => {
      inFlight -= 1
      response.end('hello')
    }, 2)
  })
  t.equal(most, connections)
})

t.test('connections stay open between slices, and lost ones are opened again', async (t) => {
  const accepted: Socket[] = []
  const server = createHttpServer((_request, response) => response.end('hello'))
  server.on('connection', (socket) => accepted.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const load = new HttpLoad()
  t.teardown(() => load.close())

  await load.open(port, 3)
  await load.drive({ ...target, port })
  await load.open(port, 3)
  t.match(await load.drive({ ...target, port }), { failures: 0 })
  t.equal(accepted.length, 3)

  accepted[0]?.destroy()
  while (accepted.length < 4) {
    await new Promise((resolve) => setImmediate(resolve))
    await load.open(port, 3)
  }
  t.match(await load.drive({ ...target, port }), { failures: 0 })
  t.equal(accepted.length, 4)
})

t.test('sends the headers of the target', async (t) => {
  const seen = new Set<string | undefined>()
  const result = await overHttp(
    t,
    (request, response) => {
      seen.add(request.headers['if-none-match'])
      response.writeHead(304, { etag: '"x"' }).end()
    },
    { headers: { 'if-none-match': '"x"' }, expectStatus: 304 },
  )
  t.same([...seen], ['"x"'])
  t.equal(result.failures, 0)
  t.ok(result.answers > 0)
})

const posting = {
  body: '{"stake":1}',
  people: [{ 'x-user': 'a' }, { 'x-user': 'b' }],
  keys: 'k-',
  repeats: false,
}

t.test('posts a body for each person in turn, each time with another key', async (t) => {
  const seen: string[] = []
  const result = await overHttp(
    t,
    async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { 'x-user': user, 'idempotency-key': key, 'content-type': type } = request.headers
      seen.push([request.method, user, key, type, body].join(' '))
      response.end('ok')
    },
    { posting },
  )
  t.equal(result.failures, 0)
  t.equal(new Set(seen).size, seen.length)
  const numbered = seen.map((request) => Number(/ k-(\d+) /.exec(request)?.[1]))
  t.same(
    numbered.toSorted((one, other) => one - other),
    seen.map((_, at) => at),
  )
  t.ok(seen.includes('POST a k-0 application/json {"stake":1}'))
  t.ok(seen.includes('POST b k-1 application/json {"stake":1}'))
})

t.test('repeats the key of each person, and wants the answer to say so', async (t) => {
  const keys = new Set<string>()
  const result = await overHttp(
    t,
    (request, response) => {
      const { 'x-user': user, 'idempotency-key': key } = request.headers
      keys.add(`${user} ${key}`)
      if (user === 'a') response.setHeader('Replayed', 'true')
      response.end('ok')
    },
    { posting: { ...posting, repeats: true, expectHead: 'replayed: true' } },
  )
  t.same([...keys].toSorted(), ['a k-0', 'b k-1'])
  t.ok(result.answers > 0)
  t.ok(result.failures > 0)
  t.equal(result.firstFailure, 'an answer without replayed: true from /theme')
})

t.test('an answer with another status is a failure, even a good one', async (t) => {
  let requests = 0
  const result = await overHttp(t, (_request, response) => {
    requests += 1
    if (requests === 2) response.writeHead(204).end()
    else response.end('ok')
  })
  t.equal(result.failures, 1)
  t.match(result.firstFailure, 'status 204 instead of 200')
  t.equal(result.answers, requests - 1)
})

t.test('an answer whose end cannot be known is a failure', async (t) => {
  const result = await overHttp(t, (_request, response) => {
    response.write('part')
    response.end()
  })
  t.equal(result.answers, 0)
  t.equal(result.failures, connections)
  t.match(result.firstFailure, 'without content-length')
})

t.test('a connection that the server closes with a request in flight is a failure', async (t) => {
  const result = await overHttp(t, (request) => {
    request.socket.end()
  })
  t.equal(result.failures, connections)
  t.match(result.firstFailure, 'closed')
})

t.test('a server that is not there is said so before anything is measured', async (t) => {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  await t.rejects(new HttpLoad().open(port, connections), { code: 'ECONNREFUSED' })
})

t.test('puts an answer together that arrives in pieces, also a split head', async (t) => {
  const result = await overTcp(t, ['HTTP/1.1 200 OK\r\nContent-Le', 'ngth: 6\r\n\r', '\nabc', 'def'])
  t.match(result, { failures: 0, firstFailure: undefined })
  t.ok(result.answers >= connections)
})

t.test('more bytes than announced are a failure', async (t) => {
  const result = await overTcp(t, ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcd'])
  t.equal(result.failures, connections)
  t.match(result.firstFailure, '2 bytes more than announced')
})
