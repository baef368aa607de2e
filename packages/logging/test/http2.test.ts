import { answeredAndCancelled, waitUntil } from '@holdfast/test-kit'
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
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-request-id', 'of-another-service')
  })
  const headers = await answeredAndCancelled(t, app, '?token=canary')
  await waitUntil(() => reader.completions.length === 2)
  t.match(reader.completions, [
    {
      level: 30,
      path: '/fast',
      status: 200,
      correlation_id: headers['x-correlation-id'],
      request_id: headers['x-request-id'],
    },
    { level: 40, path: '/slow', status: 499, aborted: true },
  ])
})
