// GET /api/balance and GET /api/balance/entries: what the user who asks has, and what has moved it.

import { withRetryAfter } from '@holdfast/footing'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { idBefore } from '../../cursor.ts'
import { ApiBalanceUnavailableError } from '../../errors.ts'
import { principalOf } from '../../plugins/identity.ts'
import { pageBody } from '../../remembered-pages.ts'
import { BALANCE_SCHEMA, ENTRIES_SCHEMA } from './balance-operations.ts'
import type { BalancePages, BalanceSelection } from './balance-pages.ts'

/** What the database may take for one request in all. */
const BUDGET_MS = 1000

/** What the routes need. */
export interface BalanceOptions {
  readonly pages: Pick<BalancePages, 'read' | 'remembered'>
}

interface EntriesRoute {
  Querystring: { limit: number; cursor?: string }
}

/** The routes. */
export const balance: FastifyPluginCallback<BalanceOptions> = (app, { pages }, done) => {
  /** What was read last, instead of the handler, or after it failed, when the database cannot be asked. */
  const remembered = (selection: BalanceSelection, reply: FastifyReply, retryAfterMs: number) => {
    const found = pages.remembered(selection)
    if (found === undefined) throw withRetryAfter(new ApiBalanceUnavailableError(), retryAfterMs)
    return pageBody(reply, found)
  }

  app.get(
    '/api/balance',
    {
      config: {
        access: 'user',
        tenantRateLimit: { policy: 'read', by: 'user' },
        poolGuard: {
          criticality: 'normal',
          budgetMs: BUDGET_MS,
          fallback: (request, reply, { retryAfterMs }) => remembered(ofUser(request), reply, retryAfterMs),
        },
      },
      schema: BALANCE_SCHEMA,
    },
    async (request, reply) => pageBody(reply, await pages.read(ofUser(request))),
  )

  app.get<EntriesRoute>(
    '/api/balance/entries',
    {
      config: {
        access: 'user',
        tenantRateLimit: { policy: 'read', by: 'user' },
        poolGuard: {
          criticality: 'normal',
          budgetMs: BUDGET_MS,
          fallback: (request, reply, { retryAfterMs }) =>
            remembered(entriesOf(request as FastifyRequest<EntriesRoute>), reply, retryAfterMs),
        },
      },
      schema: ENTRIES_SCHEMA,
    },
    async (request, reply) => pageBody(reply, await pages.read(entriesOf(request))),
  )
  done()
}

function ofUser(request: FastifyRequest): BalanceSelection {
  return { userId: principalOf(request).id }
}

function entriesOf(request: FastifyRequest<EntriesRoute>): BalanceSelection {
  const { limit, cursor } = request.query
  return { userId: principalOf(request).id, before: idBefore(cursor), limit }
}
