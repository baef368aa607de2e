import { once } from 'node:events'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import { Logs, logging, serverOptions } from '../src/index.ts'
import { LineReader } from './line-reader.ts'

t.test('requests of HTTP/2 have ids and lines, also when they are cancelled', async (t) => {
  const reader = new LineReader()
  const logs = new Logs<FastifyRequest>({ destination: reader })
  const { http: _http, clientErrorHandler: _handler, ...options } = serverOptions(logs)
  const app = Fastify({ ...options, http2: true })
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  app.get('/fast', async () => 'fast')
  let begun = false
  app.get('/slow', () => {
    begun = true
    return new Promise(() => {})
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  const fast = session.request({ ':path': '/fast?token=canary' })
  const [headers] = await once(fast, 'response')
  fast.resume()
  const slow = session.request({ ':path': '/slow' })
  await waitUntil(() => begun)
  slow.close(8)
  await waitUntil(() => reader.completions.length === 2)
  t.match(reader.completions, [
    { level: 30, path: '/fast', status: 200, correlation_id: headers['x-correlation-id'] },
    { level: 40, path: '/slow', status: 499, aborted: true },
  ])
})
