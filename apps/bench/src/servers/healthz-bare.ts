/**
 * A constant answer of the same shape as /healthz from a plain route: only its content type with `short`, and
 * the same bytes on the wire as ours with `no-store`.
 */
import fastify from 'fastify'
import { listen } from './listen.ts'

const app = fastify()
const body = JSON.stringify({
  status: 'ok',
  version: '1.0.0',
  timestamp: new Date().toISOString(),
  service: 'bench',
})
if (process.argv[2] === 'no-store') {
  app.get('/healthz', (_request, reply) => {
    reply.type('application/json; charset=utf-8').header('cache-control', 'no-store').send(body)
  })
} else {
  app.get('/healthz', (_request, reply) => {
    reply.type('application/json; charset=utf-8').send(body)
  })
}
await listen(app)
