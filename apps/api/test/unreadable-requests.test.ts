// What is answered before there is a request: with both ids, and one line by them.

import { once } from 'node:events'
import { connect } from 'node:net'
import { Logs } from '@holdfast/logging'
import { waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { loneApp } from './lone-app.ts'
import { exchange } from './raw-exchange.ts'

t.setTimeout(120_000)

const lines: Readonly<Record<string, unknown>>[] = []
const logs = new Logs<FastifyRequest>({ destination: { write: (line) => lines.push(JSON.parse(line)) } })
const fastify = await loneApp(t, { REQUEST_TIMEOUT: '1s', HANDLER_TIMEOUT: '2s' }, { logs })
const { port } = new URL(await fastify.listen({ host: '127.0.0.1', port: 0 }))
const completions = () => lines.filter(({ msg }) => msg === 'request completed')

t.test('what cannot be read, or leads nowhere, is answered with both ids, and has a line', async (t) => {
  for (const [text, status, unread] of [
    ['BREW / HTTP/1.1\r\nhost: a\r\n\r\n', 400, 'HPE_INVALID_METHOD'],
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'HPE_HEADER_OVERFLOW'],
    ['GET / HTTP/1.1\r\nhost: a\r\nx: half', 408, 'ERR_HTTP_REQUEST_TIMEOUT'],
    ['CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nx-correlation-id: log-00000001\r\n\r\n', 405, 'CONNECT'],
  ] as const) {
    const before = completions().length
    const [answer] = await exchange(Number(port), text, 10_000)
    const id = answer?.headers.get('x-correlation-id')
    t.equal(answer?.status, status)
    t.equal(answer?.headers.get('ended'), 'true')
    t.match(JSON.parse(answer?.body ?? ''), { status, correlation_id: id })
    await waitUntil(() => completions().length > before)
    const request_id = answer?.headers.get('x-request-id')
    t.match(
      completions().slice(before),
      [{ correlation_id: id, request_id, status, unread, level: 40 }],
      unread,
    )
    t.equal(completions().length, before + 1)
    t.equal(id === 'log-00000001', unread === 'CONNECT')
    t.equal(answer?.headers.get('x-content-type-options'), 'nosniff')
    t.equal(answer?.headers.get('allow'), unread === 'CONNECT' ? '' : undefined)
  }
})

t.test('a client that asks for a tunnel and is gone does no harm', async (t) => {
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write('CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n')
  socket.resetAndDestroy()
  const [answer] = await exchange(
    Number(port),
    'GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
  )
  t.equal(answer?.status, 200)
})
