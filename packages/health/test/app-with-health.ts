import type { Server } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { type HealthOptions, health } from '../src/index.ts'

/** A ready application with the plugin; it closes with the test. */
export async function appWithHealth(
  t: Test,
  options: HealthOptions<FastifyRequest> = {},
  server: FastifyServerOptions = {},
): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(health, { service: 'shop', version: '1.2.3', ...options })
  await app.ready()
  return app
}

/** The port that a server listens on. */
export function portOf(server: Server | undefined): number {
  const address = server?.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server does not listen')
  return address.port
}
