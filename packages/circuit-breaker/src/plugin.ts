import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { CircuitBreakers, type CircuitBreakersOptions } from './circuit-breakers.ts'

declare module 'fastify' {
  interface FastifyInstance {
    circuitBreaker: CircuitBreakers
  }
}

/** The plugin; raises `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` for a wrong option. */
export const circuitBreaker = fp(
  async (app: FastifyInstance, options: CircuitBreakersOptions) => {
    const breakers = new CircuitBreakers(options)
    app.decorate('circuitBreaker', breakers)
    app.addHook('onClose', async () => breakers.close())
  },
  { fastify: '5.x', name: '@holdfast/circuit-breaker' },
)
export { circuitBreaker as default }
