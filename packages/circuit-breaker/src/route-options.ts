import type { CircuitBreaker } from './circuit-breaker.ts'
import type { CircuitBreakers } from './circuit-breakers.ts'
import { UnknownBreakerError } from './errors.ts'
import type { Fallback } from './guarded-route.ts'
import { type CircuitBreakerOptions, checks } from './options.ts'

/** `config.circuitBreaker` as an object, without what belongs to Fastify. */
export interface RouteSetting extends CircuitBreakerOptions {
  readonly name?: string
  readonly failureStatus?: number
  readonly fallback?: Fallback
}

/** What a route asked for, with every default filled in. */
export interface ResolvedRoute {
  readonly breaker: CircuitBreaker
  readonly timeoutMs: number
  readonly failureStatus: number
  readonly fallback: Fallback | undefined
}

/** What is known of a route. */
export interface RouteLike {
  /** For messages, and for the breaker it gets when it names none: `GET /quotes`. */
  readonly name: string
  readonly setting: unknown
}

/** The time-out of a route that says none. */
export const DEFAULT_TIMEOUT_MS = 10_000

/**
 * Checks the setting of a route and finds its breaker: the one it names, or one of its own.
 *
 * @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_` + `INVALID_OPTION`, `UNKNOWN_BREAKER`, and what `create()` throws.
 */
export function resolveRoute(route: RouteLike, breakers: CircuitBreakers, timeoutMs: number): ResolvedRoute {
  const option = `config.circuitBreaker of ${route.name}`
  const given = typeof route.setting === 'string' ? { name: route.setting } : route.setting
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    checks.refuse(option, 'a name, an object or false', given)
  }
  const { name, fallback, failureStatus, ...own } = given as RouteSetting
  const limitMs = own.timeoutMs ?? timeoutMs
  const resolved = {
    timeoutMs: checks.durationOrInfinity(`${option}: timeoutMs`, limitMs, 1),
    failureStatus: checks.count(`${option}: failureStatus`, failureStatus ?? 500, 500, 600),
    fallback: checks.callable(`${option}: fallback`, fallback),
  }
  if (name === undefined) return { ...resolved, breaker: breakers.create(route.name, own) }
  checks.text(`${option}: name`, name)
  // The breaker has options of its own already; more of them here would be in force nowhere.
  checks.onlyKnown(`${option}: `, own, ['name', 'timeoutMs', 'failureStatus', 'fallback'])
  const breaker = breakers.get(name)
  if (breaker === undefined) throw new UnknownBreakerError(route.name, name)
  return { ...resolved, breaker }
}
