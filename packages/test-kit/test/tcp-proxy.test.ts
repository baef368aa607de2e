import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { TcpProxy } from '../src/tcp-proxy.ts'
import { waitUntil } from '../src/wait-until.ts'

/** A server that sends back what it gets, with a proxy before it. */
async function echo(t: Test) {
  const sockets = new Set<Socket>()
  const errors: string[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''))
    socket.on('close', () => sockets.delete(socket))
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const proxy = await TcpProxy.start({ targetPort: address.port })
  const stopServer = () => {
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
  }
  t.teardown(async () => {
    await proxy.close()
    stopServer()
  })
  return { proxy, sockets, errors, stopServer }
}

/** A client that remembers what it got. */
async function dial(t: Test, port: number) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const seen = { text: '', ended: false, error: '' }
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    seen.text += text
  })
  socket.on('end', () => {
    seen.ended = true
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.error = error.code ?? error.message
  })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return { socket, seen }
}

t.test('hands on bytes and ends in both directions, and counts', async (t) => {
  const { proxy } = await echo(t)
  const taps: [string, number][] = []
  proxy.onClientData = (chunk, { number }) => taps.push([chunk.toString(), number])
  const { socket, seen } = await dial(t, proxy.port)
  socket.write('hello')
  await waitUntil(() => seen.text === 'hello')
  t.equal(proxy.openConnections, 1)
  socket.end(' world')
  await waitUntil(() => seen.ended)
  t.equal(seen.text, 'hello world')
  t.same(taps, [
    ['hello', 1],
    [' world', 1],
  ])
  t.equal(proxy.connections, 1)
  t.equal(proxy.bytesFromClient, 11)
  t.equal(proxy.bytesFromServer, 11)
  await waitUntil(() => proxy.openConnections === 0)
})

t.test('carries much more than it holds, with back-pressure', async (t) => {
  const { proxy } = await echo(t)
  const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  // More than the systems' buffers on the way take in (some 10 MB for each of four sockets).
  const bytes = 96 * 1024 * 1024
  socket.pause()
  socket.end(Buffer.alloc(bytes))
  await sleep(300)
  t.ok(proxy.bytesFromClient < bytes, `took ${proxy.bytesFromClient} bytes while nobody read`)
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  socket.resume()
  await once(socket, 'end')
  t.equal(received, bytes)
})

t.test('holds at most about 1 MiB of a slow line', async (t) => {
  const { proxy } = await echo(t)
  proxy.slow(1000)
  const { socket } = await dial(t, proxy.port)
  socket.write('x'.repeat(16 * 1024 * 1024))
  await waitUntil(() => proxy.bytesFromClient > 1024 * 1024)
  await sleep(50)
  t.ok(proxy.bytesFromClient < 2 * 1024 * 1024, `took ${proxy.bytesFromClient} bytes`)
})

t.test('a black hole accepts and is silent, and delivers late once it is healed', async (t) => {
  const { proxy } = await echo(t)
  const before = await dial(t, proxy.port)
  before.socket.write('a')
  await waitUntil(() => before.seen.text === 'a')
  proxy.blackhole()
  const during = await dial(t, proxy.port)
  before.socket.write('b')
  during.socket.write('c')
  await sleep(50)
  t.same([before.seen.text, during.seen.text], ['a', ''])
  t.same([before.seen.ended, during.seen.ended], [false, false])
  await proxy.heal()
  await waitUntil(() => before.seen.text === 'ab' && during.seen.text === 'c')
  during.socket.end()
  await waitUntil(() => during.seen.ended)
})

t.test('a client that leaves a black hole is forgotten once it is healed', async (t) => {
  const { proxy, sockets } = await echo(t)
  const { socket } = await dial(t, proxy.port)
  await waitUntil(() => sockets.size === 1)
  proxy.blackhole()
  socket.resetAndDestroy()
  await proxy.heal()
  await waitUntil(() => proxy.openConnections === 0 && sockets.size === 0)
  t.pass('both sides are gone')
})

t.test('a black hole holds back bytes that are on their way', async (t) => {
  const { proxy } = await echo(t)
  const { socket, seen } = await dial(t, proxy.port)
  proxy.latency(500)
  socket.write('late')
  await waitUntil(() => proxy.bytesFromClient === 4)
  proxy.blackhole()
  // Beyond the latency of both directions.
  await sleep(1100)
  t.equal(seen.text, '')
  await proxy.heal()
  await waitUntil(() => seen.text === 'late')
})

t.test('refuse() refuses new connections, keeps the open ones, and heal() listens again', async (t) => {
  const { proxy } = await echo(t)
  const { socket, seen } = await dial(t, proxy.port)
  const { port } = proxy
  proxy.refuse()
  proxy.refuse()
  await t.rejects(dial(t, port), { code: 'ECONNREFUSED' })
  socket.write('still here')
  await waitUntil(() => seen.text === 'still here')
  await proxy.heal()
  t.equal(proxy.port, port)
  await dial(t, port)
})

t.test('reset() ends every connection by RST on both sides, and takes new ones', async (t) => {
  const { proxy, errors } = await echo(t)
  const first = await dial(t, proxy.port)
  const second = await dial(t, proxy.port)
  first.socket.write('a')
  second.socket.write('b')
  await waitUntil(() => first.seen.text === 'a' && second.seen.text === 'b')
  proxy.reset()
  await waitUntil(() => first.seen.error !== '' && second.seen.error !== '' && errors.length === 2)
  t.same([first.seen.error, second.seen.error, ...errors], Array(4).fill('ECONNRESET'))
  const third = await dial(t, proxy.port)
  third.socket.write('c')
  await waitUntil(() => third.seen.text === 'c')
})

t.test('a reset by the client reaches the target, and one by the target the client', async (t) => {
  const { proxy, sockets, errors } = await echo(t)
  const leaving = await dial(t, proxy.port)
  await waitUntil(() => sockets.size === 1)
  leaving.socket.resetAndDestroy()
  await waitUntil(() => errors.length === 1)
  t.same(errors, ['ECONNRESET'])
  const left = await dial(t, proxy.port)
  await waitUntil(() => sockets.size === 1)
  for (const socket of sockets) socket.resetAndDestroy()
  await waitUntil(() => left.seen.error !== '')
  t.equal(left.seen.error, 'ECONNRESET')
})

t.test('a target that is not there resets the client', async (t) => {
  const { proxy, stopServer } = await echo(t)
  stopServer()
  const { seen } = await dial(t, proxy.port)
  await waitUntil(() => seen.error !== '')
  t.equal(seen.error, 'ECONNRESET')
  t.equal(proxy.bytesFromServer, 0)
})

t.test('reset() also ends a connection whose target has not answered yet', async (t) => {
  // TEST-NET-1 (RFC 5737): nobody answers there.
  const proxy = await TcpProxy.start({ targetPort: 9, targetHost: '192.0.2.1' })
  const { seen } = await dial(t, proxy.port)
  await waitUntil(() => proxy.openConnections === 1)
  proxy.reset()
  await waitUntil(() => seen.error !== '' && proxy.openConnections === 0)
  t.equal(seen.error, 'ECONNRESET')
  await proxy.close()
  await proxy.close()
})

t.test('latency() delays each direction, keeps the order, and heal() ends it', async (t) => {
  const { proxy } = await echo(t)
  const { socket, seen } = await dial(t, proxy.port)
  proxy.latency(40)
  const startMs = performance.now()
  socket.write('a')
  await sleep(5)
  socket.write('b')
  await waitUntil(() => seen.text === 'ab', { intervalMs: 1 })
  t.ok(performance.now() - startMs >= 80, 'there and back')
  proxy.latency(60_000)
  socket.write('c')
  await waitUntil(() => proxy.bytesFromClient === 3)
  await proxy.heal()
  await waitUntil(() => seen.text === 'abc')
  t.throws(() => proxy.latency(-1), RangeError)
  t.throws(() => proxy.latency(Number.NaN), RangeError)
})

t.test('slow() lets only so many bytes through', async (t) => {
  const { proxy } = await echo(t)
  const { socket, seen } = await dial(t, proxy.port)
  proxy.slow(2000)
  socket.write('x'.repeat(2000))
  await waitUntil(() => seen.text !== '')
  t.ok(seen.text.length < 2000, 'it comes in pieces')
  await waitUntil(() => seen.text.length === 2000)
  proxy.slow(1)
  socket.write('four')
  await waitUntil(() => proxy.bytesFromClient === 2004)
  t.equal(seen.text.length, 2000)
  await proxy.heal()
  await waitUntil(() => seen.text.length === 2004)
  t.throws(() => proxy.slow(0), RangeError)
})

t.test('close() ends connections and frees the port', async (t) => {
  const { proxy } = await echo(t)
  const { seen } = await dial(t, proxy.port)
  await proxy.close()
  await waitUntil(() => seen.error !== '')
  await t.rejects(dial(t, proxy.port), { code: 'ECONNREFUSED' })
})
