// How long an answer may take, and how many connections there may be: what is left when every other bound has failed.
//
// Not Fastify's `handlerTimeout`: in 5.12 on Node 24 it ends as soon as a body has been read, so that a request with a
// body has none, and it costs a bare route almost half as much again.

import { type Clock, isProbe, takeOver } from '@holdfast/footing'
import { fastifyPlugin } from 'fastify-plugin'
import { ApiHandlerTimeoutError } from '../errors.ts'

/** The bounds. */
export interface WaitingBoundsOptions {
  /** Milliseconds after which a request without an answer is answered with 503. */
  readonly handlerTimeoutMs: number
  /** Connections at one time; further ones are closed at once. */
  readonly maxConnections: number
  readonly clock: Pick<Clock, 'nowMs' | 'schedule'>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `false`: the handler answers at once, so that nothing has to watch it. */
    waits?: false
  }
}

const TOLD_EVERY_MS = 60_000

/**
 * Register it before all hooks and routes. Probes are not watched, they answer at once; neither is an answer that has
 * begun, or whose reply was taken out of Fastify's hands.
 */
export const waitingBounds = fastifyPlugin<WaitingBoundsOptions>(
  (app, { handlerTimeoutMs, maxConnections, clock }, done) => {
    app.addHook('onRequest', (request, reply, next) => {
      const { config } = request.routeOptions
      if (config.waits === false || isProbe(config)) {
        next()
        return
      }
      const cancel = clock.schedule(handlerTimeoutMs, () => {
        // The handler may wake up later: nothing that it does then reaches anybody.
        if (!reply.sent && !reply.raw.headersSent) takeOver(reply).send(new ApiHandlerTimeoutError())
      })
      reply.raw.once('close', cancel)
      next()
    })

    const { server } = app
    // A worker that is full would else give connections back to its primary, which gives them to the next one, and so on.
    Object.assign(server, { maxConnections, dropMaxConnection: true })
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
