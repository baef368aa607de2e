// The line before the hashing of passwords. Whoever would find it full is refused in this hook, before his request is
// counted, its body read, or anybody asked: in a storm of sign-ins that is most of them, so it has to cost least.

import { availableParallelism } from 'node:os'
import { systemClock } from '@holdfast/footing'
import { fastifyPlugin } from 'fastify-plugin'
import { HashingQueue } from '../routes/auth/hashing-queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    hashingLine: HashingQueue
  }
  interface FastifyContextConfig {
    /** The route hashes a password, or verifies one. */
    hashes?: true
  }
}

/** Who else hashes on this machine. */
export interface HashingLineOptions {
  /** How many workers there are, this one included. */
  readonly sharers: number
}

/** One core is left for everything else. */
const CORES = Math.max(1, availableParallelism() - 1)
/** With 80 ms for one, whoever is last in line waits for less than three seconds. */
const MAX_WAITING = 32

/** `app.hashingLine`. Register it behind what keeps blocked addresses out, and before all that counts requests. */
export const hashingLine = fastifyPlugin<HashingLineOptions>(
  (app, { sharers }, done) => {
    const line = new HashingQueue({
      concurrency: Math.max(1, Math.floor(CORES / sharers)),
      maxWaiting: Math.ceil(MAX_WAITING / sharers),
      clock: systemClock,
    })
    app.decorate('hashingLine', line)
    app.addHook('onRequest', (request, _reply, next) => {
      next(request.routeOptions.config.hashes === true ? line.refusal() : undefined)
    })
    done()
  },
  { fastify: '5.x', name: '@holdfast/api/hashing-line' },
)
