// POST and GET /api/bets. Placing is one transaction; the same request again is answered with the bet that it has made.

import { currentScope, type PoolScope, runInScope } from '@holdfast/pool-guard'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { idBefore } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import { ApiBetsUnavailableError, ApiEventUnknownError, ApiMemberKindError } from '../../errors.ts'
import { idempotencyKeyOf, REPLAYED_HEADER, requestDigest } from '../../idempotency-key.ts'
import { type ReadPages, userReads } from '../../list-pages.ts'
import { type MemberKind, memberOfAnotherKind } from '../../member-kinds.ts'
import { principalOf } from '../../plugins/identity.ts'
import { type BetOrder, type BetStatus, placedAnswer } from './bet.ts'
import { type CountPlacing, placingOutcome } from './bet-metrics.ts'
import { LIST_SCHEMA, PLACE_SCHEMA } from './bet-operations.ts'
import type { BetRepository, BetSelection } from './bet-repository.ts'

const ROUTE = 'POST /api/bets'
const MAX_BODY_BYTES = 1024
/** What the database may take for one request in all. */
const PLACING_BUDGET_MS = 3000

const KINDS: Readonly<Record<string, MemberKind>> = {
  event_id: 'string',
  market: 'string',
  selection: 'string',
  stake_minor: 'number',
  odds_milli: 'number',
}

/** What the routes need. */
export interface BetOptions {
  readonly repository: Pick<BetRepository, 'place'>
  readonly pages: ReadPages<BetSelection>
  /** Undefined: nothing is counted. */
  readonly count: CountPlacing | undefined
}

interface PlaceRoute {
  Body: { event_id: string; market: string; selection: string; stake_minor: number; odds_milli?: number }
}

interface ListRoute {
  Querystring: { status?: BetStatus; limit: number; cursor?: string }
}

/** The routes. */
export const bets: FastifyPluginCallback<BetOptions> = (app, { repository, pages, count }, done) => {
  app.post<PlaceRoute>(
    '/api/bets',
    {
      config: {
        access: 'user',
        tenantRateLimit: { policy: 'bet', by: 'user' },
        poolGuard: { criticality: 'critical', budgetMs: PLACING_BUDGET_MS },
      },
      bodyLimit: MAX_BODY_BYTES,
      preValidation: ofTheirKinds,
      // Not `onResponse`: nobody hears of the end of an answer whose client has left.
      onSend: (_request, reply, _payload, done) => {
        count?.(placingOutcome(reply.statusCode, reply.hasHeader(REPLAYED_HEADER)))
        done()
      },
      schema: PLACE_SCHEMA,
    },
    async (request, reply) => {
      const order = orderOf(request)
      const { userId, idempotencyKey, digest } = order
      let leads = false
      const scope = scopeWithoutClient()
      // Those who ask the same at the same time share one connection and one answer. Nobody's leaving ends it: the key
      // tells later what became of it.
      const { bet, replayed } = await app.singleflight.run(
        ['bet', userId, idempotencyKey, digest.toString('hex')],
        () => {
          leads = true
          return runInScope(scope, () => repository.place(order))
        },
      )
      if (leads && !replayed) {
        app.logging.event('USER_ACTION', 'bet.placed', {
          bet_id: bet.id,
          user_id: userId,
          event_id: bet.eventId,
          stake_minor: bet.stakeMinor,
          odds_milli: bet.oddsMilli,
        })
      } else reply.header(REPLAYED_HEADER, 'true')
      reply.code(201).header('cache-control', 'no-store')
      return placedAnswer(bet)
    },
  )

  app.get<ListRoute>('/api/bets', {
    ...userReads(pages, selectionOf, ApiBetsUnavailableError),
    schema: LIST_SCHEMA,
  })
  done()
}

function orderOf(request: FastifyRequest<PlaceRoute>): BetOrder {
  const { event_id, market, selection, stake_minor: stakeMinor, odds_milli: seenOddsMilli } = request.body
  const idempotencyKey = idempotencyKeyOf(request.headers)
  const eventId = bigintOf(event_id)
  // An id beyond what the database can hold is one more that there is not.
  if (eventId === undefined) throw new ApiEventUnknownError()
  return {
    userId: principalOf(request).id,
    eventId,
    market,
    selection,
    stakeMinor,
    seenOddsMilli,
    idempotencyKey,
    digest: requestDigest(ROUTE, [event_id, market, selection, stakeMinor, seenOddsMilli ?? null]),
  }
}

function selectionOf(request: FastifyRequest<ListRoute>): BetSelection {
  const { status, limit, cursor } = request.query
  return { userId: principalOf(request).id, status, before: idBefore(cursor), limit }
}

/** Neither is text made a number nor a number text: beyond 2^53 it would be another one. */
function ofTheirKinds(
  { body, headers }: FastifyRequest,
  _reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  // Before the schema, which would say less about it. What it throws Fastify catches.
  idempotencyKeyOf(headers)
  const wrong = memberOfAnotherKind(body, KINDS)
  if (wrong === undefined) done()
  else if (KINDS[wrong] === 'number') done(new ApiMemberKindError(wrong, 'a number, without quotes'))
  else done(new ApiMemberKindError(wrong, 'text; put it between quotes'))
}

/** What the request says of its place in the pool, without its client. */
function scopeWithoutClient(): PoolScope {
  const scope = currentScope()
  return {
    criticality: 'critical',
    tenant: scope?.tenant,
    route: scope?.route,
    deadlineMs: scope?.deadlineMs,
    // Asked each time: what holds may change while it runs.
    get readOnly() {
      return scope?.readOnly
    },
  }
}
