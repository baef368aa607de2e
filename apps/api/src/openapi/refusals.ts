// What is refused before the handler of a route is asked, read from the route: one table, so that no route has to say it
// again, and none says what is not so.

import { ApiUnauthorizedError } from '../errors.ts'
import type { DescribedRoute } from './described-route.ts'
import type { ProblemClass, Refusal } from './operation.ts'

interface Row extends Refusal {
  applies(route: DescribedRoute): boolean
}

const changes = ({ method }: DescribedRoute): boolean => method !== 'GET'
const takesBody = ({ method, schema }: DescribedRoute): boolean =>
  schema.body !== undefined || method === 'POST' || method === 'PUT' || method === 'PATCH'
const isProbe = ({ config }: DescribedRoute): boolean => config.health !== undefined
const asksWho = ({ access }: DescribedRoute): boolean => access !== 'public' && access !== 'guarded'
/** Whoever is signed in is let in by his role, whether that alone does it or the token of operators does, too. */
const asksRole = ({ access, schema }: DescribedRoute): boolean =>
  access === 'operator' || access === 'admin' || schema.problems?.includes(ApiUnauthorizedError) === true
const asksFreshness = (route: DescribedRoute): boolean => asksRole(route) && route.access !== 'operator'
const validates = ({ schema: { body, querystring, params, headers } }: DescribedRoute): boolean =>
  [body, querystring, params, headers].some((part) => part !== undefined)
const usesDatabase = ({ config }: DescribedRoute): boolean =>
  config.poolGuard !== undefined && config.poolGuard !== false
const isOfOperators = ({ url }: DescribedRoute): boolean => url.startsWith('/admin/')
/** Whoever closes the service can see that it is closed, sign in, and open it. */
const STAYS_OPEN = /^\/(admin|health|metrics|api\/status|auth\/(login|refresh|logout|me|sessions))(\/|$)/

const ROWS: readonly Row[] = [
  {
    status: 400,
    code: 'FST_ERR_VALIDATION',
    detail: 'the body, the query or the path is not as described; `errors` says where',
    applies: validates,
  },
  {
    status: 400,
    code: 'HOLDFAST_ERR_API_BODY_UNBOUNDED',
    detail: 'the body is nested too deep, or holds too many values',
    applies: takesBody,
  },
  {
    status: 401,
    code: 'HOLDFAST_ERR_API_NOT_SIGNED_IN',
    detail: 'nobody is signed in',
    applies: asksWho,
  },
  {
    status: 401,
    code: 'HOLDFAST_ERR_API_STALE_SIGN_IN',
    detail: 'the password must have been given within the last 15 minutes',
    applies: asksFreshness,
  },
  {
    status: 403,
    code: 'HOLDFAST_ERR_API_FORBIDDEN',
    detail: 'this needs a role that whoever asks has not',
    applies: asksRole,
  },
  {
    status: 403,
    code: 'HOLDFAST_ERR_API_OTHER_TENANT',
    detail: 'this belongs to another tenant',
    applies: (route) => asksWho(route) && route.url.includes('/:tenant/'),
  },
  {
    status: 403,
    code: 'HOLDFAST_ERR_API_CROSS_SITE',
    detail: 'a page of another site sent this with cookies of this one, or might have',
    applies: changes,
  },
  {
    status: 413,
    code: 'FST_ERR_CTP_BODY_TOO_LARGE',
    detail: 'the body is larger than this route takes',
    applies: takesBody,
  },
  {
    status: 415,
    code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    detail: 'the body is no JSON',
    applies: takesBody,
  },
  {
    status: 429,
    code: 'too_many_requests',
    detail: 'a limit of this user, of this tenant or of all together is reached',
    applies: ({ config: { tenantRateLimit } }) =>
      tenantRateLimit !== undefined &&
      tenantRateLimit !== false &&
      !(typeof tenantRateLimit === 'object' && 'onLimit' in tenantRateLimit),
  },
  {
    status: 429,
    code: 'HOLDFAST_ERR_API_ADDRESS_LIMITED',
    detail: 'there were too many requests from this address',
    applies: (route) => route.config.addressLimit !== false && !isProbe(route),
  },
  {
    status: 429,
    code: 'HOLDFAST_ERR_ABUSE_GUARD_BLOCKED',
    detail: 'this address is blocked for a while',
    applies: (route) => !isProbe(route) && !isOfOperators(route),
  },
  {
    status: 429,
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CONFLICT',
    detail: 'another operation of this user is under way',
    applies: ({ config }) => config.concurrencyGuard !== undefined && config.concurrencyGuard !== false,
  },
  {
    status: 500,
    code: 'internal_server_error',
    detail: 'a mistake in the service, told in general words',
    applies: (route) => !isProbe(route),
  },
  {
    status: 503,
    code: 'HOLDFAST_ERR_MAINTENANCE_ACTIVE',
    detail: 'this is closed for maintenance; `maintenance` says for how long',
    applies: (route) => !isProbe(route) && !STAYS_OPEN.test(route.url),
  },
  {
    status: 503,
    code: 'service_unavailable',
    detail: 'the database has no room, or no answer; nothing was changed',
    applies: usesDatabase,
  },
  {
    status: 503,
    code: 'HOLDFAST_ERR_API_USER_UNAVAILABLE',
    detail: 'who is asking cannot be found out at the moment',
    applies: (route) => asksWho(route) || asksRole(route),
  },
  {
    status: 503,
    code: 'HOLDFAST_ERR_API_PASSWORDS_BUSY',
    detail: 'too many people sign in at this moment',
    applies: ({ config }) => config.hashes === true,
  },
  {
    status: 504,
    code: 'gateway_timeout',
    detail: 'the database took too long; look whether it was done before you try again',
    applies: usesDatabase,
  },
]

/** Everything that a route may be refused with, by status: what comes before its handler, and what that says itself. */
export function refusalsOf(route: DescribedRoute): ReadonlyMap<number, readonly Refusal[]> {
  const { problems = [] } = route.schema
  const own = problems.map((each) => (typeof each === 'function' ? toldBy(each) : each))
  const all = [...own, ...ROWS.filter((row) => row.applies(route))].toSorted((a, b) => a.status - b.status)
  return Map.groupBy(all, ({ status }) => status)
}

function toldBy(Problem: ProblemClass): Refusal {
  const { code, statusCode = 500, message } = new Problem()
  // What stands in for `%s` is known when it happens.
  return { status: statusCode, code, detail: message.replaceAll(/%[sd]/g, '…') }
}
