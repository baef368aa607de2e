/** An application with one guarded route, and what tests of it need. */
import { get as httpGet } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { holdProcess } from '@holdfast/footing'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import circuitBreaker, { type CircuitBreakerRouteOptions } from '../src/index.ts'

export type Handler = (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply) => unknown

export const own = 'GET /guarded'

// No timer of the plugin keeps a process alive, and a request through inject() has no socket that does.
t.teardown(holdProcess())

/** An application with one guarded route, `/guarded`, and what its breaker says. */
export async function guarded(t: Test, config: CircuitBreakerRouteOptions, handler: Handler) {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  app.get('/guarded', { config: { circuitBreaker: config } }, handler)
  const breaker = () => app.circuitBreaker.get(own)?.snapshot()
  return { app, breaker, counts: () => breaker()?.counts, get: () => app.inject('/guarded') }
}

/** The base URL of the application on a socket. */
export async function listening(app: FastifyInstance): Promise<string> {
  return app.listen({ host: '127.0.0.1', port: 0 })
}

/** Lets the process die of nothing, and fails the test for what it would have died of. */
export function survives(t: Test): void {
  const died = (error: unknown) => t.fail(`the process would have ended: ${String(error)}`)
  process.on('uncaughtException', died)
  process.on('unhandledRejection', died)
  t.teardown(async () => {
    await sleep(5)
    process.off('uncaughtException', died)
    process.off('unhandledRejection', died)
  })
}

/** A client that leaves once `condition` holds. */
export async function leaving(url: string, condition: () => boolean): Promise<void> {
  const request = httpGet(url)
  request.on('error', () => {})
  await waitUntil(condition)
  request.destroy()
}
