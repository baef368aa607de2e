// However a request ends, its line says so: refused at the end of the service, left by its client, broken off.

import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { exchange, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { portOf, serviceWith } from './service-with.ts'

t.setTimeout(60_000)

t.test('a service that closes gives lines to those it refuses', async (t) => {
  const { app, reader } = await serviceWith(t)
  let letGo: (() => void) | undefined
  app.get(
    '/slow',
    () =>
      new Promise((resolve) => {
        letGo = () => resolve('x')
      }),
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect(portOf(app), '127.0.0.1')
  let answers = ''
  socket.on('data', (chunk) => {
    answers += chunk
  })
  socket.write('GET /slow HTTP/1.1\r\nhost: a\r\n\r\n')
  await waitUntil(() => letGo !== undefined)
  const closed = app.close()
  // Behind the one that is still under way, so the connection stays open for it.
  socket.write('GET /late HTTP/1.1\r\nhost: a\r\n\r\n')
  await setTimeout(50)
  letGo?.()
  await Promise.all([once(socket, 'close'), closed])
  await waitUntil(() => reader.completions.length === 2)
  t.same(reader.completions.map(({ status }) => status).toSorted(), [200, 503])
  for (const { correlation_id } of reader.completions) t.match(answers, String(correlation_id))
})

t.test('clients that go away are told as such', async (t) => {
  const { app, reader } = await serviceWith(t)
  let running = 0
  app.get('/never', () => {
    running++
    return new Promise(() => {})
  })
  app.get('/half', async () => {
    running++
    const endless = new Readable({ read() {} })
    endless.push('x')
    return endless
  })
  app.post('/body', async () => 'x')
  await app.listen({ host: '127.0.0.1', port: 0 })
  for (const [request, status, route] of [
    ['GET /never HTTP/1.1\r\nhost: a\r\n\r\n', 499, '/never'],
    ['GET /half HTTP/1.1\r\nhost: a\r\n\r\n', 200, '/half'],
    [
      'POST /body HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"',
      499,
      '/body',
    ],
  ] as const) {
    reader.lines.length = 0
    running = 0
    const socket = connect(portOf(app), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(request)
    if (route === '/half') await once(socket, 'data')
    else if (route === '/never') await waitUntil(() => running === 1)
    else await waitUntil(async () => (await connectionsOf(app)) === 1)
    socket.resetAndDestroy()
    await waitUntil(() => reader.completions.length > 0)
    t.match(reader.completions, [{ status, route, aborted: true, level: 40 }], route)
  }
})

function connectionsOf({ server }: { readonly server: import('node:http').Server }): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

t.test('who waits behind another request of his connection has a line, too, when it ends', async (t) => {
  const { app, reader } = await serviceWith(t)
  let running = 0
  app.get('/never', () => {
    running++
    return new Promise(() => {})
  })
  app.get('/soon', async () => {
    running++
    return 'x'
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect(portOf(app), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    'GET /never HTTP/1.1\r\nhost: a\r\n\r\nGET /soon HTTP/1.1\r\nhost: a\r\n\r\nGET /never HTTP/1.1\r\nhost: a\r\n\r\n',
  )
  await waitUntil(() => running === 3)
  socket.resetAndDestroy()
  await waitUntil(() => reader.completions.length === 3)
  await setImmediate()
  t.same(reader.completions.map(({ route, aborted }) => [route, aborted]).toSorted(), [
    ['/never', true],
    ['/never', true],
    ['/soon', true],
  ])
  t.equal(new Set(reader.completions.map(({ request_id }) => request_id)).size, 3)
})

t.test('however many wait on one connection, each has its line, and one listener is enough', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async () => 'x')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const request = 'GET / HTTP/1.1\r\nhost: a\r\n'
  await exchange(portOf(app), `${`${request}\r\n`.repeat(40)}${request}connection: close\r\n\r\n`)
  await waitUntil(() => reader.completions.length === 41)
  t.ok(reader.completions.every(({ status, aborted }) => status === 200 && aborted === undefined))
  t.same(warnings, [])
})

t.test('an answer that the service itself breaks off is an error', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/broken', async () =>
    Readable.from(
      (async function* () {
        yield 'x'
        throw new Error('disk gone, password=canary')
      })(),
    ),
  )
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await t.rejects(fetch(`${url}/broken`).then((answer) => answer.text()))
  await waitUntil(() => reader.completions.length === 1)
  t.match(reader.completions, [{ level: 50, status: 200, err: { message: 'disk gone, password=[masked]' } }])
  t.equal(reader.completions[0]?.['aborted'], undefined)
})
