/** A small asynchronous route: `bare`, guarded by `ours`, or guarded by the `peer` (@fastify/circuit-breaker). */
import fastifyCircuitBreaker from '@fastify/circuit-breaker'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import fastify from 'fastify'
import { listen } from './listen.ts'

const app = fastify()
const handler = async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' })
switch (process.argv[2]) {
  case 'ours':
    await app.register(circuitBreaker)
    app.get('/quote', { config: { circuitBreaker: { timeoutMs: 1000 } } }, handler)
    break
  case 'peer':
    await app.register(fastifyCircuitBreaker, { timeout: 1000 })
    app.after(() => {
      app.get('/quote', { preHandler: app.circuitBreaker() }, handler)
    })
    break
  default:
    app.get('/quote', handler)
}
await listen(app)
