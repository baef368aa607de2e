// Clients that ask and do not read what they get: their connections end, and those that read slowly go on.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { loneApp } from './lone-app.ts'

t.setTimeout(120_000)

/** More than the buffers of a connection hold. */
const BYTES = 20_000_000
const PAUSE_MS = 200

const fastify = await loneApp(t, { REQUEST_TIMEOUT: '1s', HANDLER_TIMEOUT: '2s' })
fastify.get('/large', { config: { access: 'public' } }, async () => 'x'.repeat(BYTES))
const { port } = new URL(await fastify.listen({ host: '127.0.0.1', port: 0 }))

async function asking(t: Test): Promise<Socket> {
  const socket = connect(Number(port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  return socket
}

const connections = () =>
  new Promise<number>((resolve) => fastify.server.getConnections((_error, count) => resolve(count)))

t.test('a connection on which nothing is read ends', async (t) => {
  await Promise.all(Array.from({ length: 5 }, () => asking(t)))
  await waitUntil(async () => (await connections()) === 5)
  await waitUntil(async () => (await connections()) === 0, { timeoutMs: 60_000, what: 'the end of all five' })
  t.equal(await connections(), 0)
})

t.test('one who reads slowly gets all of it', async (t) => {
  const socket = await asking(t)
  let received = 0
  let ended = false
  socket.on('data', (chunk) => {
    received += chunk.length
    socket.pause()
  })
  socket.on('end', () => {
    ended = true
  })
  const startMs = performance.now()
  while (!ended) {
    // Slower than the bound in all, and never silent for so long.
    if (performance.now() - startMs < 5000) await delay(PAUSE_MS)
    else await new Promise(setImmediate)
    socket.resume()
  }
  t.ok(received > BYTES)
})
