// GET and POST /api/bots, and GET /api/bots/:id/events.

import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { idAfter, idBefore, pageOf } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import {
  ApiBotListUnavailableError,
  ApiBotUnknownError,
  ApiMemberKindError,
  ApiStrategyInvalidError,
} from '../../errors.ts'
import { idempotencyKeyOf, REPLAYED_HEADER, requestDigest } from '../../idempotency-key.ts'
import { ListPages, userReads } from '../../list-pages.ts'
import type { MarketSymbol } from '../../market/symbols.ts'
import { memberOfAnotherKind } from '../../member-kinds.ts'
import { principalOf } from '../../plugins/identity.ts'
import { MAX_LENGTH } from '../../strategy/language.ts'
import { parseStrategy } from '../../strategy/parse.ts'
import { StrategyError } from '../../strategy/strategy-error.ts'
import { CREATE_SCHEMA, EVENTS_SCHEMA, LIST_SCHEMA } from './bot-list-operations.ts'
import { type BotWish, createdAnswer, detailsItem, eventItem } from './new-bot.ts'
import type { BotsSelection, EventsSelection, NewBotRepository } from './new-bot-repository.ts'

const ROUTE = 'POST /api/bots'
/** Four bytes for each character of a strategy, and the rest of the document. */
const MAX_BODY_BYTES = 4 * MAX_LENGTH + 2048
/** What the database may take for one request in all. */
const CREATION_BUDGET_MS = 3000

/** What the routes need. */
export interface BotListOptions {
  readonly repository: Pick<NewBotRepository, 'create' | 'bots' | 'events'>
  readonly caches: FastifyInstance['staleCache']
}

interface CreateRoute {
  Body: { name: string; symbol: MarketSymbol; strategy: string }
}

interface ListRoute {
  Querystring: { limit: number; cursor?: string }
}

interface EventsRoute extends ListRoute {
  Params: { id: string }
}

/** The routes. */
export const botLists: FastifyPluginCallback<BotListOptions> = (app, { repository, caches }, done) => {
  const botPages = new ListPages<BotsSelection>(
    {
      name: 'bots',
      keyOf: ({ userId, after, limit }) => `${userId} ${limit} ${after}`,
      // One more than asked for tells whether there is another page.
      read: async ({ limit, ...selection }) =>
        pageOf(await repository.bots({ ...selection, limit: limit + 1 }), limit, detailsItem),
    },
    caches,
  )
  const eventPages = new ListPages<EventsSelection>(
    {
      name: 'bot-events',
      keyOf: ({ userId, botId, before, limit }) => `${userId} ${botId} ${limit} ${before}`,
      read: async ({ limit, ...selection }) =>
        pageOf(await repository.events({ ...selection, limit: limit + 1 }), limit, eventItem),
    },
    caches,
  )

  app.post<CreateRoute>(
    '/api/bots',
    {
      config: {
        access: 'user',
        tenantRateLimit: { policy: [{ policy: 'creation', by: 'user' }, 'tenant-bots'] },
        poolGuard: { criticality: 'critical', budgetMs: CREATION_BUDGET_MS },
      },
      bodyLimit: MAX_BODY_BYTES,
      preValidation: textOnly,
      schema: CREATE_SCHEMA,
    },
    async (request, reply) => {
      const wish = wishOf(request)
      const { bot, replayed } = await repository.create(wish)
      if (replayed) reply.header(REPLAYED_HEADER, 'true')
      else {
        app.logging.event('USER_ACTION', 'bot.create', {
          bot_id: bot.id,
          user_id: wish.userId,
          symbol: bot.symbol,
        })
      }
      reply.code(201).header('cache-control', 'no-store')
      return createdAnswer(bot)
    },
  )

  app.get<ListRoute>('/api/bots', {
    ...userReads(botPages, botsOf, ApiBotListUnavailableError),
    schema: LIST_SCHEMA,
  })

  app.get<EventsRoute>('/api/bots/:id/events', {
    ...userReads(eventPages, eventsOf, ApiBotListUnavailableError),
    schema: EVENTS_SCHEMA,
  })
  done()
}

function wishOf(request: FastifyRequest<CreateRoute>): BotWish {
  const { name, symbol, strategy } = request.body
  const idempotencyKey = idempotencyKeyOf(request.headers)
  try {
    parseStrategy(strategy)
  } catch (error) {
    throw error instanceof StrategyError ? new ApiStrategyInvalidError(error) : error
  }
  return {
    userId: principalOf(request).id,
    name,
    symbol,
    strategy,
    idempotencyKey,
    digest: requestDigest(ROUTE, [name, symbol, strategy]),
  }
}

function botsOf(request: FastifyRequest<ListRoute>): BotsSelection {
  const { limit, cursor } = request.query
  return { userId: principalOf(request).id, after: idAfter(cursor), limit }
}

function eventsOf(request: FastifyRequest<EventsRoute>): EventsSelection {
  const { limit, cursor } = request.query
  const botId = bigintOf(request.params.id)
  // An id beyond what the database can hold is one more that there is not.
  if (botId === undefined) throw new ApiBotUnknownError()
  return { userId: principalOf(request).id, botId, before: idBefore(cursor), limit }
}

/** The schema refuses it, too, and would not say how to mend it. */
function textOnly(
  { body, headers }: FastifyRequest,
  _reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  // Before the schema, which would say less about it. What it throws Fastify catches.
  idempotencyKeyOf(headers)
  const wrong = memberOfAnotherKind(body, { name: 'string', symbol: 'string', strategy: 'string' })
  done(wrong === undefined ? undefined : new ApiMemberKindError(wrong, 'text; put it between quotes'))
}
