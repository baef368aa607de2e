// GET /:tenant/api/public/load-theme. The handler is synchronous and gets a reader of memory: no database,
// no cache that could load, nothing that could wait, is in its reach.

import type { StaleReader } from '@holdfast/stale-cache'
import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import type { PublicTheme } from './public-theme.ts'
import { THEME_SCHEMA } from './theme-operation.ts'

/** What the route needs. */
export interface PublicThemeOptions {
  /** Answers at once, for any text. */
  readonly themes: StaleReader<PublicTheme>
}

/** The route. */
export const publicTheme: FastifyPluginCallback<PublicThemeOptions> = (app, { themes }, done) => {
  const peek = (request: FastifyRequest) => themes.peek((request.params as { tenant: string }).tenant)
  app.get(
    '/:tenant/api/public/load-theme',
    {
      config: {
        access: 'public',
        // Beyond its limit a tenant is served what memory has, as it always is.
        tenantRateLimit: { policy: 'public', onLimit: 'stale', stale: peek },
        addressLimit: false,
        waits: false,
      },
      schema: THEME_SCHEMA,
    },
    (request, reply) => {
      // Pages of other origins show it.
      reply.header('cross-origin-resource-policy', 'cross-origin')
      reply.sendRepresentation(peek(request))
    },
  )
  done()
}

const THEME_PATH = /^\/([^/?]*)(\/api\/public\/load-theme(?:\?.*)?)$/

/**
 * For Fastify's `rewriteUrl`: a tenant that cannot be decoded (`/%E0%A4/api/public/load-theme`) is one more
 * that does not exist. Fastify would answer 400 before any route is found; with `-`, which is no slug, in its
 * place the request is answered like that of every other unknown tenant. Other addresses stay as they are.
 */
export function withDecodableTenant(url: string): string {
  if (!url.includes('%')) return url
  const [, tenant, rest] = THEME_PATH.exec(url) ?? []
  if (tenant === undefined || rest === undefined) return url
  try {
    decodeURIComponent(tenant)
    return url
  } catch {
    return `/-${rest}`
  }
}
