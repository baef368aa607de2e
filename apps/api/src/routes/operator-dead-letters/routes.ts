// /admin/dlq/:queue: jobs that nobody tries any more, for operators: to look at, to put in again, to give up.

import type { FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { requireOperator } from '../../bearer.ts'
import type { DeadLetterFilter, DeadLetterState, DeadLetters } from '../../jobs/dead-letters.ts'
import type { QueueName } from '../../jobs/queues.ts'
import { deadLetterList, detailsAnswer, placeOfCursor, replaysAnswer } from './dead-letter-answer.ts'
import { DEAD_LETTER_SCHEMAS } from './dead-letter-operations.ts'

/** What the routes need. */
export interface OperatorDeadLettersOptions {
  readonly deadLetters: DeadLetters
  /** Who may look, and act. */
  readonly authorize: (request: FastifyRequest) => boolean
}

interface QueueRoute {
  Params: { queue: QueueName }
}

interface ListRoute extends QueueRoute {
  Querystring: { limit: number; cursor?: string; state: DeadLetterState; code?: string; died_before?: string }
}

interface LetterRoute {
  Params: { queue: QueueName; id: string }
}

interface ReplayManyRoute extends QueueRoute {
  Body: { limit: number; dry_run: boolean; code?: string; died_before?: string }
}

interface DiscardRoute extends LetterRoute {
  Querystring: { reason: string }
}

const MAX_BODY_BYTES = 1024
/** What the database may take for one request in all. */
const READ_BUDGET_MS = 2000
const WRITE_BUDGET_MS = 5000
/** A hundred jobs each: what comes of a replay must not be a flood itself. */
const OWN_ADDRESS_LIMIT = '10/minute'

/** The routes. */
export const operatorDeadLetters = fastifyPlugin<OperatorDeadLettersOptions>(
  async (app, { deadLetters, authorize }) => {
    // After who asks is known, and before what he has sent is read.
    const onRequest = requireOperator(authorize)
    const access = 'guarded' as const
    const looking = {
      onRequest,
      config: { access, poolGuard: { criticality: 'normal' as const, budgetMs: READ_BUDGET_MS } },
    }
    const acting = {
      onRequest,
      config: {
        access,
        poolGuard: { criticality: 'critical' as const, budgetMs: WRITE_BUDGET_MS },
        // In the transaction of the action.
        audit: 'itself' as const,
      },
    }

    app.get<ListRoute>(
      '/admin/dlq/:queue',
      {
        ...looking,
        schema: DEAD_LETTER_SCHEMAS.list,
      },
      async ({ params: { queue }, query }, reply) => {
        const { limit, cursor, state } = query
        const after = placeOfCursor(cursor)
        unstored(reply)
        // One more than asked for tells whether there is another page.
        const found = await deadLetters.list(queue, { state, ...filterOf(query) }, limit + 1, after)
        return deadLetterList(found, limit)
      },
    )

    app.get<LetterRoute>(
      '/admin/dlq/:queue/:id',
      { ...looking, schema: DEAD_LETTER_SCHEMAS.show },
      async ({ params: { queue, id } }, reply) => {
        unstored(reply)
        return detailsAnswer(await deadLetters.show(queue, id))
      },
    )

    app.post<LetterRoute>(
      '/admin/dlq/:queue/:id/replay',
      { ...acting, schema: DEAD_LETTER_SCHEMAS.replay },
      async (request, reply) => {
        const { queue, id } = request.params
        const { jobId, repeated } = await deadLetters.replay(queue, id, operatorOf(request))
        unstored(reply)
        return { id, job_id: jobId, repeated }
      },
    )

    app.post<ReplayManyRoute>(
      '/admin/dlq/:queue/replay',
      {
        ...acting,
        config: { ...acting.config, addressLimit: OWN_ADDRESS_LIMIT },
        bodyLimit: MAX_BODY_BYTES,
        schema: DEAD_LETTER_SCHEMAS.replayMany,
      },
      async (request, reply) => {
        const { limit, dry_run: dryRun } = request.body
        const order = { ...operatorOf(request), limit, dryRun }
        const replays = await deadLetters.replayMany(request.params.queue, filterOf(request.body), order)
        unstored(reply)
        return replaysAnswer(replays, dryRun)
      },
    )

    // The reason stands in the query: what a DELETE carries as its body may get lost on the way (RFC 9110, 9.3.5).
    app.delete<DiscardRoute>(
      '/admin/dlq/:queue/:id',
      {
        ...acting,
        schema: DEAD_LETTER_SCHEMAS.discard,
      },
      async (request, reply) => {
        const { queue, id } = request.params
        const order = { ...operatorOf(request), reason: request.query.reason }
        const { repeated } = await deadLetters.discard(queue, id, order)
        unstored(reply)
        return { id, repeated }
      },
    )
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/operator-dead-letters',
    dependencies: ['@holdfast/pool-guard'],
  },
)

/** Who has no account has the token of operators. */
function operatorOf({ principal }: FastifyRequest): { readonly actor: string } {
  return { actor: principal?.id ?? 'operator token' }
}

function filterOf({
  code,
  died_before,
}: {
  readonly code?: string
  readonly died_before?: string
}): Omit<DeadLetterFilter, 'state'> {
  return {
    ...(code !== undefined && { code }),
    ...(died_before !== undefined && { diedBefore: new Date(died_before) }),
  }
}

function unstored(reply: FastifyReply): void {
  reply.header('cache-control', 'no-store')
}
