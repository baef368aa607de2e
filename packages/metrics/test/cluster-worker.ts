// A worker of cluster-primary.ts.

import { metrics } from '@holdfast/metrics'
import Fastify from 'fastify'

const app = Fastify()
await app.register(metrics, { cluster: true, token: 'a-token' })
const done = app.metrics.counter({ name: 'done_total', help: 'Done' })
app.metrics.gauge({ name: 'at', help: 'At', aggregate: 'max' }).set(process.pid)
app.get('/', async () => 'here')
process.on('message', (message: { readonly what?: string }) => {
  if (message.what === 'count') done.inc(100)
  if (message.what === 'close') app.close().then(() => process.exit(0))
  if (message.what === 'block') {
    const endMs = performance.now() + 4000
    while (performance.now() < endMs);
  }
})
await app.listen({ host: '127.0.0.1', port: 0 })
