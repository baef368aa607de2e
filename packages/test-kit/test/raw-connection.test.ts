import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { answeredAndCancelled, exchange, RawClient, RawConnection, waitUntil } from '../src/index.ts'

/** Answers with the path; `/half` is never ended, `/gone` is cut. */
async function served(t: Test) {
  const asked: string[] = []
  const server = createServer(({ url = '', method, socket }, response) => {
    asked.push(`${method} ${url}`)
    if (url === '/gone') socket.resetAndDestroy()
    else if (url === '/chunks') response.write('a', () => response.end(url))
    else if (url === '/half') response.write('half')
    else response.end(url)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { asked, port: (server.address() as AddressInfo).port }
}

t.test('a connection says what it is told, keeps what it hears, and knows its end', async (t) => {
  const { asked, port } = await served(t)
  const connection = new RawConnection(port, t)
  connection.ask('/a')
  connection.ask('/b', 'HEAD')
  await waitUntil(() => connection.answers === 2)
  t.match(connection.text, /^HTTP\/1\.1 200[\s\S]*\/aHTTP\/1\.1 200/)
  t.notOk(connection.closed)
  connection.say('GET /gone HTTP/1.1\r\nhost: x\r\n\r\n')
  await waitUntil(() => connection.closed)
  t.ok(connection.broken)
  t.strictSame(asked, ['GET /a', 'HEAD /b', 'GET /gone'])
})

t.test('the end of a test ends its connections', async (t) => {
  const { port } = await served(t)
  const held: RawConnection[] = []
  await t.test('inside', async (inside) => {
    const connection = new RawConnection(port, inside)
    held.push(connection)
    connection.ask('/half')
    await waitUntil(() => connection.answers === 1)
    inside.notOk(connection.closed)
  })
  await waitUntil(() => held[0]?.closed === true)
  t.notOk(held[0]?.broken)
})

t.test('an exchange is all that comes until the end', async (t) => {
  const { port } = await served(t)
  const answer = await exchange(port, 'GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 200[\s\S]*\/x$/)
  t.match(await exchange(port, 'no HTTP\r\n\r\n'), /^HTTP\/1\.1 400/)
})

t.test('a client goes on with its connection, and takes a new one where that has ended', async (t) => {
  const { asked, port } = await served(t)
  const client = new RawClient(port)
  const head = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${more}\r\n`
  t.match(await client.ask(head('/a'), false), /\/a$/)
  t.match(await client.ask(head('/a').replace('GET', 'HEAD'), false), /^HTTP\/1\.1 200[\s\S]*\r\n\r\n$/)
  t.match(await client.ask(head('/chunks'), false), /0\r\n\r\n$/)
  t.match(await client.ask(head('/b', 'connection: close\r\n'), true), /\/b$/)
  await client.cut(head('/half'), () => asked.includes('GET /half'))
  t.match(await client.ask(head('/c'), false), /^HTTP\/1\.1 200[\s\S]*\/c$/)
  client.close()
})

t.test('of two requests of HTTP/2 one is answered and one is cancelled', async (t) => {
  const handlers = new Map<string, () => Promise<unknown>>()
  const cancelled: string[] = []
  const server = createHttp2Server(({ url, stream }, response) => {
    stream.on('aborted', () => cancelled.push(url))
    handlers
      .get(url.split('?')[0] ?? '')?.()
      .then((text) => response.end(String(text)))
  })
  t.teardown(() => server.close())
  const headers = await answeredAndCancelled(
    t,
    {
      get: (path, handler) => handlers.set(path, handler),
      listen: ({ host, port }) =>
        new Promise((resolve) =>
          server.listen(port, host, () =>
            resolve(`http://${host}:${(server.address() as AddressInfo).port}`),
          ),
        ),
    },
    '?a=1',
  )
  t.equal(headers[':status'], 200)
  await waitUntil(() => cancelled.length === 1)
  t.strictSame(cancelled, ['/slow?a=1'])
})
