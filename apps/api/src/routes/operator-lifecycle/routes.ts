// /admin/lifecycle: what this instance is at, and taking it out of rotation for a while, for operators. It answers for
// the instance that is asked: through a balancer, whichever that is.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { requireOperator } from '../../bearer.ts'
import { ApiStoppingError } from '../../errors.ts'
import { LIFECYCLE_SCHEMAS } from './lifecycle-operations.ts'

/** What the routes need. */
export interface OperatorLifecycleOptions {
  /** Who may look, and cordon. */
  readonly authorize: (request: FastifyRequest) => boolean
}

/** The routes. */
export const operatorLifecycle = fastifyPlugin<OperatorLifecycleOptions>(
  async (app, { authorize }) => {
    const answer = (reply: FastifyReply) => {
      const { state, phases, startedInMs, cordon, connections, inFlight } = app.lifecycle.snapshot()
      reply.header('cache-control', 'no-store')
      return {
        state,
        cordon: cordon === undefined ? null : { reason: cordon.reason, for_ms: Math.round(cordon.forMs) },
        started_in_ms: startedInMs ?? null,
        phases: phases.map(({ phase, durationMs, outcome }) => ({
          phase,
          duration_ms: Math.round(durationMs),
          outcome,
        })),
        connections,
        requests_in_flight: inFlight,
      }
    }
    const guarded = {
      // After who asks is known, and before what he has sent is read.
      onRequest: requireOperator(authorize),
      config: { access: 'guarded' as const },
    }
    app.get('/admin/lifecycle', { ...guarded, schema: LIFECYCLE_SCHEMAS.look }, async (_request, reply) =>
      answer(reply),
    )
    app.post<{ Body: { reason: string } }>(
      '/admin/lifecycle/cordon',
      { ...guarded, schema: LIFECYCLE_SCHEMAS.cordon },
      async ({ body }, reply) => {
        if (!app.lifecycle.cordon(body.reason)) throw new ApiStoppingError()
        app.logging.event('SECURITY_EVENT', 'instance.cordoned', { reason: body.reason })
        return answer(reply)
      },
    )
    app.post(
      '/admin/lifecycle/uncordon',
      { ...guarded, schema: LIFECYCLE_SCHEMAS.uncordon },
      async (_request, reply) => {
        if (app.lifecycle.uncordon()) app.logging.event('SECURITY_EVENT', 'instance.uncordoned')
        return answer(reply)
      },
    )
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/operator-lifecycle',
    dependencies: ['@holdfast/lifecycle', '@holdfast/logging'],
  },
)
