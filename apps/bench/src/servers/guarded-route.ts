/** A small asynchronous route: `bare`, guarded by `ours`, or guarded by the `peer` (@fastify/circuit-breaker). */
import fastifyCircuitBreaker from '@fastify/circuit-breaker'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import fastify, { type preHandlerHookHandler } from 'fastify'
import { listen } from './listen.ts'

const app = fastify()
const handler = async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' })
switch (process.argv[2]) {
  case 'ours':
    await app.register(circuitBreaker)
    app.get('/quote', { config: { circuitBreaker: { timeoutMs: 1000 } } }, handler)
    break
  case 'peer': {
    await app.register(fastifyCircuitBreaker, { timeout: 1000 })
    // Both packages decorate the instance with this name, and the types of ours win here.
    const guard = app.circuitBreaker as unknown as () => preHandlerHookHandler
    app.get('/quote', { preHandler: guard() }, handler)
    break
  }
  default:
    app.get('/quote', handler)
}
await listen(app)
