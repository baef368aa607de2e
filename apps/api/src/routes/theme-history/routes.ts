// GET /:tenant/api/theme/history and POST /:tenant/api/theme/preview-events. Neither knows who asks: signing in
// comes with the sign-in slice, and until then both are open to everybody who reaches the service.

import type { FastifyPluginCallback } from 'fastify'
import { ApiTenantUnknownError, ApiThemeVersionUnknownError } from '../../errors.ts'
import { isTenantSlug } from '../public-theme/theme.ts'
import type { HistoryPages } from './history-pages.ts'
import { acceptedEvent, versionOf, versionOfCursor } from './theme-history.ts'
import type { PreviewEvent, ThemeHistoryRepository } from './theme-history-repository.ts'

const MAX_BODY_BYTES = 1024

/** What the routes need. */
export interface ThemeHistoryOptions {
  readonly repository: ThemeHistoryRepository
  readonly pages: HistoryPages
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
      schema: {
        querystring: {
          type: 'object',
          properties: {
            limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
            cursor: { type: 'string', maxLength: 19 },
          },
        },
      },
    },
    async ({ params: { tenant }, query: { limit, cursor } }, reply) => {
      const before = versionOfCursor(cursor)
      if (!isTenantSlug(tenant)) throw new ApiTenantUnknownError()
      const { body, staleSeconds } = await pages.read(tenant, limit, before)
      reply.type('application/json; charset=utf-8')
      if (staleSeconds === undefined) reply.header('cache-control', 'private, no-cache')
      else {
        // RFC 9111 has no field left that says this to a person; `Warning` is what tools still look for (RFC 7234).
        reply.header('warning', '110 - "Response is Stale"').header('age', staleSeconds)
        reply.header('cache-status', 'holdfast; hit; detail=stale').header('cache-control', 'no-store')
      }
      return reply.send(body)
    },
  )

  app.post<PreviewRoute>(
    '/:tenant/api/theme/preview-events',
    {
      bodyLimit: MAX_BODY_BYTES,
      schema: {
        body: {
          type: 'object',
          additionalProperties: false,
          required: ['event_id', 'theme_version', 'viewport'],
          properties: {
            event_id: { type: 'string', format: 'uuid', maxLength: 36 },
            theme_version: { type: 'string', pattern: '^[1-9][0-9]{0,18}$' },
            viewport: { type: 'string', enum: ['desktop', 'tablet', 'mobile'] },
          },
        },
      },
    },
    async ({ params: { tenant }, body: { event_id, theme_version, viewport } }, reply) => {
      if (!isTenantSlug(tenant)) throw new ApiTenantUnknownError()
      const themeVersion = versionOf(theme_version)
      if (themeVersion === undefined) throw new ApiThemeVersionUnknownError(theme_version)
      const eventId = event_id.toLowerCase()
      const stored = await repository.append(tenant, { eventId, themeVersion, viewport })
      reply.code(201).header('cache-control', 'no-store')
      return acceptedEvent(stored)
    },
  )
  done()
}
