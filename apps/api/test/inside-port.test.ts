// The management port of several workers, as a server of its own.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { insideServer } from '../src/inside-port.ts'
import { exchange } from './raw-exchange.ts'

async function listening(t: Test): Promise<number> {
  const server = insideServer({
    metrics: () => 'up 1\n',
    ask: async ({ url }) => ({ status: 200, headers: {}, body: url }),
    headers: { 'x-content-type-options': 'nosniff' },
  })
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

t.test('what is no request is answered, with the headers of every other answer', async (t) => {
  const port = await listening(t)
  for (const [text, status] of [
    ['nonsense\r\n\r\n', 400],
    [`GET /livez HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ] as const) {
    const [answer] = await exchange(port, text)
    t.equal(answer?.status, status)
    t.match(answer?.headers.get('x-correlation-id'), /^[0-9a-f-]{36}$/)
    t.equal(answer?.headers.get('x-content-type-options'), 'nosniff')
    t.equal(answer?.headers.get('connection'), 'close')
  }
})

t.test('the metrics are told whatever the Accept says', async (t) => {
  const port = await listening(t)
  for (const accept of ['constructor', '__proto__', ',;=', 'application/openmetrics-text']) {
    const [answer] = await exchange(
      port,
      `GET /metrics HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\nconnection: close\r\n\r\n`,
    )
    t.equal(answer?.status, 200, accept)
  }
})
