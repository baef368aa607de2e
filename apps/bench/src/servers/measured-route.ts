/**
 * A small asynchronous route: `bare`, measured by `ours`, by `fastify-metrics` (its histogram alone: it is spared its
 * summary), or `by-hand` with prom-client's histogram in an onResponse hook.
 */
import { metrics } from '@holdfast/metrics'
import fastify from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import { Histogram, Registry } from 'prom-client'
import { listen } from './listen.ts'

const app = fastify()
switch (process.argv[2]) {
  case 'ours':
    await app.register(metrics)
    break
  case 'fastify-metrics':
    // A module of CommonJS, whose types say that it is one of the other kind.
    await app.register(fastifyMetrics.default as never, {
      endpoint: null,
      routeMetrics: { enabled: { histogram: true, summary: false } },
    })
    break
  case 'by-hand': {
    const histogram = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Requests',
      labelNames: ['method', 'route', 'status'] as const,
      registers: [new Registry()],
    })
    app.addHook('onResponse', (request, reply, done) => {
      const labels = {
        method: request.method,
        route: request.routeOptions.url ?? '',
        status: reply.statusCode,
      }
      histogram.observe(labels, reply.elapsedTime / 1000)
      done()
    })
    break
  }
}
app.get('/quote', async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' }))
await listen(app)
