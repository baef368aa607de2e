// POST /api/bot/start, stop and recover, and GET /api/bot/status. An operation is one transaction; of one user one goes
// on at a time, wherever it runs.

import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { idAfter } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import {
  ApiBotOvertakenError,
  ApiBotStatusUnavailableError,
  ApiBotUnknownError,
  ApiIdNotTextError,
} from '../../errors.ts'
import { type ReadPages, readingFrom } from '../../list-pages.ts'
import { memberOfAnotherKind } from '../../member-kinds.ts'
import { principalOf } from '../../plugins/identity.ts'
import { pageBody } from '../../remembered-pages.ts'
import { type BotOperation, changeAnswer, STEPS } from './bot.ts'
import { type BotCounters, outcomeOf } from './bot-metrics.ts'
import { changeSchema, STATUS_SCHEMA } from './bot-operations.ts'
import type { BotRepository } from './bot-repository.ts'
import type { BotSelection } from './bot-status.ts'

const MAX_BODY_BYTES = 1024
/** What the database may take for one request in all. */
const OPERATION_BUDGET_MS = 3000

/** What the routes need. */
export interface BotOptions {
  readonly repository: BotRepository
  readonly pages: ReadPages<BotSelection>
  /** Undefined: nothing is counted. */
  readonly counters: BotCounters | undefined
}

interface OperationRoute {
  Body: { bot_id: string }
}

interface StatusRoute {
  Querystring: { bot_id?: string; limit: number; cursor?: string }
}

const CONFLICT = 'Bot operation already in progress for this user. Please wait.'

/** The routes. */
export const bots: FastifyPluginCallback<BotOptions> = (app, { repository, pages, counters }, done) => {
  for (const operation of Object.keys(STEPS) as BotOperation[]) {
    app.post<OperationRoute>(
      `/api/bot/${operation}`,
      {
        config: {
          access: 'user',
          tenantRateLimit: limitOf(`bot-${operation}`),
          concurrencyGuard: { key: (request) => ['bot', principalOf(request).id], message: CONFLICT },
          poolGuard: { criticality: 'critical', budgetMs: OPERATION_BUDGET_MS },
        },
        bodyLimit: MAX_BODY_BYTES,
        preValidation: textOnly,
        // Not `onResponse`: nobody hears of the end of an answer whose client has left.
        onSend: ({ principal }, { statusCode }, _payload, done) => {
          const outcome = outcomeOf(statusCode)
          counters?.[operation](outcome)
          // Whoever does not let himself be held up is told to the operators.
          if (outcome === 'limited' && principal !== null)
            app.abuseGuard.note(principal.id, `bot.${operation}.limited`)
          done()
        },
        schema: changeSchema(operation),
      },
      async (request, reply) => {
        const botId = botIdOf(request.body.bot_id)
        const { id: userId } = principalOf(request)
        const { fence: granted, signal } = request.concurrencyGuard
        const fence = granted ?? (await repository.fenceOfNow())
        const order = { userId, botId, operation, fence, signal }
        const change = await repository.operate(order).catch((error: unknown) => {
          throw whyEnded(error, signal)
        })
        const { from, eventId } = change
        app.logging.event('USER_ACTION', `bot.${operation}`, {
          bot_id: String(botId),
          user_id: userId,
          from,
          event_id: eventId,
          fence,
        })
        reply.header('cache-control', 'no-store')
        return changeAnswer(change)
      },
    )
  }

  app.get<StatusRoute>(
    '/api/bot/status',
    {
      config: {
        access: 'user',
        tenantRateLimit: limitOf('bot-status'),
        poolGuard: readingFrom(pages, selectionOf, ApiBotStatusUnavailableError),
      },
      schema: STATUS_SCHEMA,
    },
    async (request, reply) => pageBody(reply, await pages.read(selectionOf(request))),
  )
  done()
}

/** For each user, for his tenant, and for all. */
function limitOf(ofUser: string) {
  return { policy: [{ policy: ofUser, by: 'user' }, 'tenant-bots'], group: 'bots' } as const
}

function textOnly({ body }: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
  const wrong = memberOfAnotherKind(body, { bot_id: 'string' })
  done(wrong === undefined ? undefined : new ApiIdNotTextError())
}

function selectionOf(request: FastifyRequest<StatusRoute>): BotSelection {
  const { bot_id, limit, cursor } = request.query
  const { id: userId } = principalOf(request)
  if (bot_id !== undefined) return { userId, botId: botIdOf(bot_id) }
  return { userId, after: idAfter(cursor), limit }
}

/** An id beyond what the database can hold is one more that there is not. */
function botIdOf(text: string): bigint {
  const id = bigintOf(text)
  if (id === undefined) throw new ApiBotUnknownError()
  return id
}

/** Of an operation that was ended from outside, why: the pool says no more than that its caller has left. */
function whyEnded(error: unknown, { reason }: AbortSignal): unknown {
  if (codeOf(error) !== 'HOLDFAST_ERR_POOL_GUARD_ABORTED' || reason === undefined) return error
  return codeOf(reason) === 'HOLDFAST_ERR_CONCURRENCY_GUARD_LEASE_LOST'
    ? new ApiBotOvertakenError({ cause: reason })
    : reason
}

function codeOf(error: unknown): unknown {
  return (Object(error) as { code?: unknown }).code
}
