// GET /:tenant/api/theme/history and POST /:tenant/api/theme/preview-events. Neither asks who it is: a theme is what a
// tenant shows to everybody.

import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { idBefore } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import {
  ApiEventNotTextError,
  ApiHistoryUnavailableError,
  ApiThemeVersionUnknownError,
} from '../../errors.ts'
import { type ReadPages, readingFrom } from '../../list-pages.ts'
import { pageBody } from '../../remembered-pages.ts'
import { HISTORY_SCHEMA, PREVIEW_SCHEMA } from './history-operations.ts'
import type { HistorySelection } from './history-pages.ts'
import { acceptedEvent } from './theme-history.ts'
import type { PreviewEvent, ThemeHistoryRepository } from './theme-history-repository.ts'

const MAX_BODY_BYTES = 1024
/** What the database may take for one request in all. */
const EVENT_BUDGET_MS = 3000

/** What the routes need. */
export interface ThemeHistoryOptions {
  readonly repository: ThemeHistoryRepository
  readonly pages: ReadPages<HistorySelection>
}

interface HistoryRoute {
  Params: { tenant: string }
  Querystring: { limit: number; cursor?: string }
}

interface PreviewRoute {
  Params: { tenant: string }
  Body: { event_id: string; theme_version: string; viewport: PreviewEvent['viewport'] }
}

/** The routes. */
export const themeHistory: FastifyPluginCallback<ThemeHistoryOptions> = (
  app,
  { repository, pages },
  done,
) => {
  app.get<HistoryRoute>(
    '/:tenant/api/theme/history',
    {
      config: {
        access: 'public',
        tenantRateLimit: 'tenant-history',
        poolGuard: readingFrom(pages, selectionOf, ApiHistoryUnavailableError),
      },
      schema: HISTORY_SCHEMA,
    },
    async (request, reply) => pageBody(reply, await pages.read(selectionOf(request))),
  )

  app.post<PreviewRoute>(
    '/:tenant/api/theme/preview-events',
    {
      config: {
        access: 'public',
        tenantRateLimit: 'tenant-history',
        poolGuard: { criticality: 'critical', budgetMs: EVENT_BUDGET_MS },
      },
      bodyLimit: MAX_BODY_BYTES,
      preValidation: textOnly,
      schema: PREVIEW_SCHEMA,
    },
    async ({ params: { tenant }, body: { event_id, theme_version, viewport } }, reply) => {
      const themeVersion = bigintOf(theme_version)
      if (themeVersion === undefined) throw new ApiThemeVersionUnknownError(theme_version)
      const eventId = event_id.toLowerCase()
      const stored = await repository.append(tenant, { eventId, themeVersion, viewport })
      reply.code(201).header('cache-control', 'no-store')
      return acceptedEvent(stored)
    },
  )
  done()
}

/** The schema refuses it, too, and would not say how to mend it. */
function textOnly({ body }: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
  const members = Object.values(body ?? {})
  done(members.every((member) => typeof member === 'string') ? undefined : new ApiEventNotTextError())
}

/** Which page is asked for. Throws for a cursor that cannot be. */
function selectionOf({
  params: { tenant },
  query: { limit, cursor },
}: FastifyRequest<HistoryRoute>): HistorySelection {
  return { tenant, before: idBefore(cursor), limit }
}
