/** An application with one guarded route, `POST /work/:key`, and clients of every temper. */
import { type ClientRequest, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import concurrencyGuard, {
  type ConcurrencyGuardPluginOptions,
  type ConcurrencyGuardRouteOptions,
  type HeldLease,
  type LeasedElsewhere,
  type LeaseStore,
} from '../src/index.ts'

export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown

export const keyOfPath = (request: FastifyRequest): [string, string] => [
  'work',
  (request.params as { key: string }).key,
]

export interface GuardedAppOptions {
  readonly plugin?: ConcurrencyGuardPluginOptions
  readonly route?: Partial<ConcurrencyGuardRouteOptions>
  /** Called between the guard and the route. */
  readonly before?: (app: FastifyInstance) => void
}

export async function guardedApp(t: Test, handler: Handler, options: GuardedAppOptions = {}) {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(concurrencyGuard, { closeTimeoutMs: 100, ...options.plugin })
  options.before?.(app)
  const config = { concurrencyGuard: { key: keyOfPath, ...options.route } }
  app.route({ method: ['GET', 'POST'], url: '/work/:key', config, handler })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const base = `http://127.0.0.1:${port}`
  const guard = app.concurrencyGuard
  return {
    app,
    guard,
    base,
    port,
    held: () => guard.snapshot().held,
    /** Waits until nothing is held. */
    free: () => waitUntil(() => guard.snapshot().held === 0, { what: 'a free key' }),
    post: (key: string, body: object = {}) =>
      fetch(`${base}/work/${key}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    /** A client that can leave: `destroy()` it. */
    leaving: (key: string): ClientRequest => {
      const headers = { 'content-type': 'text/plain' }
      const client = httpRequest(`${base}/work/${key}`, { method: 'POST', agent: false, headers })
      client.on('error', () => undefined)
      client.end('a body')
      return client
    },
  }
}

/** A store in memory that takes its time to take a lease back. */
export class SlowStore implements LeaseStore {
  readonly available = true
  readonly lease: LeaseStore['lease']
  readonly #held = new Set<string>()
  #fence = 0

  constructor(releaseMs: number) {
    this.lease = {
      acquire: async (name): Promise<HeldLease | LeasedElsewhere> => {
        const key = JSON.stringify(name)
        if (this.#held.has(key)) return { held: false, retryAfterMs: 1000 }
        this.#held.add(key)
        this.#fence += 1
        return {
          held: true,
          fence: this.#fence,
          keep: () => new AbortController().signal,
          release: async () => {
            await new Promise((resolve) => setTimeout(resolve, releaseMs))
            return this.#held.delete(key)
          },
        }
      },
    }
  }

  onStateChange(): () => void {
    return () => undefined
  }
}
