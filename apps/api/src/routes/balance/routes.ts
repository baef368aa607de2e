// GET /api/balance and GET /api/balance/entries: what the user who asks has, and what has moved it.

import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import { idBefore } from '../../cursor.ts'
import { ApiBalanceUnavailableError } from '../../errors.ts'
import { type ReadPages, userReads } from '../../list-pages.ts'
import { principalOf } from '../../plugins/identity.ts'
import { BALANCE_SCHEMA, ENTRIES_SCHEMA } from './balance-operations.ts'
import type { BalanceSelection } from './balance-pages.ts'

/** What the routes need. */
export interface BalanceOptions {
  readonly pages: ReadPages<BalanceSelection>
}

interface EntriesRoute {
  Querystring: { limit: number; cursor?: string }
}

/** The routes. */
export const balance: FastifyPluginCallback<BalanceOptions> = (app, { pages }, done) => {
  app.get('/api/balance', { ...userReads(pages, ofUser, ApiBalanceUnavailableError), schema: BALANCE_SCHEMA })

  app.get<EntriesRoute>('/api/balance/entries', {
    ...userReads(pages, entriesOf, ApiBalanceUnavailableError),
    schema: ENTRIES_SCHEMA,
  })
  done()
}

function ofUser(request: FastifyRequest): BalanceSelection {
  return { userId: principalOf(request).id }
}

function entriesOf(request: FastifyRequest<EntriesRoute>): BalanceSelection {
  const { limit, cursor } = request.query
  return { userId: principalOf(request).id, before: idBefore(cursor), limit }
}
