// How a route is called in the document, where it says nothing itself.

import type { DescribedRoute, Method } from './described-route.ts'

/** Chapters of the document, by the beginning of the path; the first that fits counts. */
const TAGS = [
  [
    'themes',
    /^\/:tenant\/api\//,
    'The branding of tenants. Reading it asks memory alone, whatever state the database is in.',
  ],
  [
    'bots',
    /^\/api\/(bot|bots|trades|strategies)(\/|$)/,
    'Bots that trade, and the strategies that they follow.',
  ],
  ['betting', /^\/api\/(sports|events|bets|balance)(\/|$)/, 'Sports, odds, bets and balances.'],
  ['sign-in', /^\/auth\//, 'Accounts, sessions and tokens.'],
  ['status', /^\/api\/status(\/|$)/, 'Whether something is closed, for everybody.'],
  ['operators', /^\/admin\//, 'For whoever operates the service.'],
  [
    'health',
    /^\/(health|healthz|live|livez|ready|readyz|startupz|metrics)(\/|$)/,
    'Probes, health and metrics, for what runs the service.',
  ],
  ['other', /^/, 'Everything else.'],
] as const satisfies readonly (readonly [string, RegExp, string])[]

/** Those that routes have, with what they are about. */
export function tagsOf(
  names: ReadonlySet<string>,
): { readonly name: string; readonly description: string }[] {
  return TAGS.filter(([name]) => names.has(name)).map(([name, , description]) => ({ name, description }))
}

/** The chapter that a route is in. */
export function tagOf({ schema, url }: Pick<DescribedRoute, 'schema' | 'url'>): string {
  return schema.tags?.[0] ?? TAGS.find(([, path]) => path.test(url))?.[0] ?? 'other'
}

/** `GET /api/events/:id/odds` becomes `getApiEventsByIdOdds`: for the names of functions that are made of it. */
export function operationIdOf(method: Method, url: string): string {
  const words = url
    .split(/[^A-Za-z0-9:]+/)
    .filter((word) => word !== '')
    .map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : capital(word)))
  return method.toLowerCase() + words.join('')
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1)
}
