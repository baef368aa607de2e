/** An application with limits, on a clock that is moved by hand. */
import { HandClock } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { type TenantRateLimitPluginOptions, tenantRateLimit } from '../src/index.ts'

/** What tests say about who asks: headers stand for what an application would have verified. */
export const identities = {
  tenant: (request: { headers: object }) => header(request, 'tenant'),
  user: (request: { headers: object }) => header(request, 'user'),
}

interface Extra {
  readonly server?: FastifyServerOptions
  /** Runs before the plugin is registered. */
  readonly before?: (app: FastifyInstance) => void
}

export async function limitedApp(
  t: Test,
  options: TenantRateLimitPluginOptions,
  { server = {}, before }: Extra = {},
) {
  const clock = new HandClock()
  const app = Fastify({ forceCloseConnections: true, ...server })
  t.teardown(() => app.close())
  before?.(app)
  await app.register(tenantRateLimit, { clock, ...identities, ...options })
  /** The statuses of so many requests, one after the other. */
  const statuses = async (count: number, url: string, headers: Record<string, string> = {}) => {
    const seen: number[] = []
    for (let at = 0; at < count; at += 1) seen.push((await app.inject({ url, headers })).statusCode)
    return seen
  }
  return { app, clock, statuses }
}

function header({ headers }: { headers: object }, name: string): string | undefined {
  return (headers as Record<string, string | undefined>)[name]
}
