// How long an answer may take, and how many connections there may be: what is left when every other bound has failed.

import type { Clock } from '@holdfast/footing'
import { fastifyPlugin } from 'fastify-plugin'

/** The bounds. */
export interface WaitingBoundsOptions {
  /** Milliseconds after which a request without an answer is answered with 503. */
  readonly handlerTimeoutMs: number
  /** Connections at one time; further ones are closed at once. */
  readonly maxConnections: number
  readonly clock: Pick<Clock, 'nowMs'>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `false`: the handler answers at once, so that no time-out has to watch it. It would cost such a route more than
     * its answer does.
     */
    waits?: false
  }
}

const TOLD_EVERY_MS = 60_000

/** Register it before any route. Probes are not watched, they answer at once. */
export const waitingBounds = fastifyPlugin<WaitingBoundsOptions>(
  (app, { handlerTimeoutMs, maxConnections, clock }, done) => {
    app.addHook('onRoute', (route) => {
      const { waits, health } = (route.config ?? {}) as { readonly waits?: false; readonly health?: unknown }
      if (waits === false || health === 'probe') return
      route.handlerTimeout ??= handlerTimeoutMs
    })
    const { server } = app
    server.maxConnections = maxConnections
    let dropped = 0
    let toldMs = Number.NEGATIVE_INFINITY
    server.on('drop', () => {
      dropped += 1
      const nowMs = clock.nowMs()
      // Whoever floods must not write the log.
      if (nowMs - toldMs < TOLD_EVERY_MS) return
      toldMs = nowMs
      app.log.warn({ dropped, max_connections: maxConnections }, 'connections are closed, there are too many')
    })
    done()
  },
  { fastify: '5.x', name: '@holdfast/api/waiting-bounds' },
)
