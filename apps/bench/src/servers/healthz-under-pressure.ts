/**
 * The status route of @fastify/under-pressure. No limit on event-loop utilisation: a saturated loop is what the
 * bench is for, and the route would answer 503.
 */
import underPressure from '@fastify/under-pressure'
import fastify from 'fastify'
import { listen } from './listen.ts'

const app = fastify()
await app.register(underPressure, {
  maxEventLoopDelay: 1_000,
  maxHeapUsedBytes: 1_000_000_000,
  maxRssBytes: 1_000_000_000,
  exposeStatusRoute: '/healthz',
})
await listen(app)
