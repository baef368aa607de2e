// Which headers protect the answers, decided once, at start: by @fastify/helmet, and what it lacks.

import helmet from '@fastify/helmet'
import Fastify from 'fastify'

/** What may be set. */
export interface SecurityHeadersOptions {
  /** The `Content-Security-Policy` of every answer that has none of its own. */
  readonly contentSecurityPolicy: string
  /** `X-XSS-Protection`: `0` switches off a filter of old browsers that was a hole itself. */
  readonly xssProtection: string
}

/** Allows nothing but JSON to be read: a page that needs more sets its own. */
export const STRICT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Two years, as browsers ask for before they remember it for good. */
const HSTS_SECONDS = 63_072_000

/** The headers, names in lower case. */
export async function securityHeaders({
  contentSecurityPolicy,
  xssProtection,
}: SecurityHeadersOptions): Promise<Readonly<Record<string, string>>> {
  const app = Fastify()
  await app.register(helmet, {
    contentSecurityPolicy: false,
    crossOriginEmbedderPolicy: true,
    frameguard: { action: 'deny' },
    hsts: { maxAge: HSTS_SECONDS, includeSubDomains: true },
    xXssProtection: xssProtection === '0',
  })
  app.get('/', async () => '')
  const { headers } = await app.inject('/')
  await app.close()
  const decided = Object.entries(headers).filter(([name]) => !OF_EVERY_ANSWER.has(name))
  return {
    ...(Object.fromEntries(decided) as Record<string, string>),
    'content-security-policy': contentSecurityPolicy,
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
    'x-xss-protection': xssProtection,
  }
}

const OF_EVERY_ANSWER: ReadonlySet<string> = new Set(['connection', 'content-length', 'content-type', 'date'])
