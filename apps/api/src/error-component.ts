// Which part of the service an error comes from, for the label `component` of `errors_total`.

/** By the beginning of the code; packages that are on the way of requests have one each. */
const BY_CODE: readonly (readonly [beginning: string, component: string])[] = [
  ['HOLDFAST_ERR_API_ADDRESS_LIMITED', 'limits'],
  ['HOLDFAST_ERR_API_', 'api'],
  ['HOLDFAST_ERR_POOL_GUARD_', 'database'],
  ['HOLDFAST_ERR_REDIS_GUARD_', 'redis'],
  ['HOLDFAST_ERR_REDIS_SESSION_', 'sessions'],
  ['HOLDFAST_ERR_TENANT_RATE_LIMIT_', 'limits'],
  ['HOLDFAST_ERR_ABUSE_GUARD_', 'abuse'],
  ['HOLDFAST_ERR_CONCURRENCY_GUARD_', 'operations'],
  ['HOLDFAST_ERR_CIRCUIT_BREAKER_', 'breakers'],
  ['HOLDFAST_ERR_STALE_CACHE_', 'cache'],
  ['HOLDFAST_ERR_SINGLEFLIGHT_', 'cache'],
  ['HOLDFAST_ERR_HEALTH_', 'health'],
  ['HOLDFAST_ERR_MAINTENANCE_', 'maintenance'],
  ['HOLDFAST_ERR_', 'other_plugins'],
  ['FST_', 'http'],
]
/** PostgreSQL's, such as 40001. */
const SQLSTATE = /^[0-9A-Z]{5}$/

/** `application` for what says nothing about itself. */
export function componentOf(error: unknown): string {
  const { code, severity } = Object(error) as { readonly code?: unknown; readonly severity?: unknown }
  if (typeof code !== 'string') return 'application'
  const known = BY_CODE.find(([beginning]) => code.startsWith(beginning))
  if (known !== undefined) return known[1]
  return severity !== undefined && SQLSTATE.test(code) ? 'database' : 'application'
}
