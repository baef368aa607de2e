// Who may use a route, as the document says it: made of its access rule.

import type { DescribedRoute } from './described-route.ts'

/** The component `securitySchemes`. */
export const SECURITY_SCHEMES = {
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: '__Host-Http-sid',
    description:
      'What `POST /auth/login` gives a browser. Without TLS (`SESSION_SECURE=false`) the cookie is called `sid`. What changes something is refused to pages of other sites, and needs `X-CSRF-Token` (of `GET /auth/me`) where a browser does not say where it comes from.',
  },
  accessToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'What `POST /auth/login` gives with `"mode": "token"`; good for five minutes.',
  },
  operatorToken: {
    type: 'http',
    scheme: 'bearer',
    description: '`ADMIN_TOKEN`, or `METRICS_TOKEN` where that is unset.',
  },
  metricsToken: { type: 'http', scheme: 'bearer', description: '`METRICS_TOKEN`.' },
} as const

type Requirement = Readonly<Partial<Record<keyof typeof SECURITY_SCHEMES, readonly string[]>>>

const SIGNED_IN: readonly Requirement[] = [{ session: [] }, { accessToken: [] }]

/** What a request must bring; one of the list is enough. */
export function securityOf({ access, url, schema }: DescribedRoute): readonly object[] {
  if (schema.security !== undefined) return schema.security
  if (access === 'public') return []
  if (access !== 'guarded') return SIGNED_IN
  return [url.startsWith('/admin/') ? { operatorToken: [] } : { metricsToken: [] }, ...SIGNED_IN]
}
