/** Errors by kind and component, for `errors_total`: a closed list of kinds, and at most so many components. */
import type { MetricSet } from './metric-set.ts'
import { ERRORS } from './metrics.ts'

/** The kinds of errors. */
export const ERROR_TYPES = [
  'validation',
  'unauthenticated',
  'forbidden',
  'not_found',
  'conflict',
  'too_large',
  'limited',
  'client',
  'timeout',
  'unavailable',
  'upstream',
  'internal',
] as const

/** One of them. */
export type ErrorType = (typeof ERROR_TYPES)[number]

/** Counts them. */
export type ErrorCounter = (type: ErrorType, component: string) => void

const MAX_COMPONENTS = 50
const BY_STATUS: Readonly<Record<number, ErrorType>> = {
  400: 'validation',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  412: 'conflict',
  413: 'too_large',
  414: 'too_large',
  422: 'validation',
  429: 'limited',
  431: 'too_large',
  502: 'upstream',
  503: 'unavailable',
  504: 'timeout',
}

/** The kind of an error that is answered with this status. */
export function errorTypeOf(status: unknown): ErrorType {
  if (typeof status !== 'number') return 'internal'
  return BY_STATUS[status] ?? (status >= 400 && status < 500 ? 'client' : 'internal')
}

/** The part that an error comes from, by its code: `fastify`, or `application`. */
export function componentOf(error: unknown): string {
  const { code } = Object(error) as { readonly code?: unknown }
  return typeof code === 'string' && code.startsWith('FST_') ? 'fastify' : 'application'
}

/** Registers `errors_total`. Raises `HOLDFAST_ERR_METRICS_DUPLICATE`. */
export function errorCounter(set: MetricSet): ErrorCounter {
  const counter = set.counter({
    ...ERRORS,
    labels: { type: ERROR_TYPES, component: { max: MAX_COMPONENTS } },
  })
  return (type, component) => counter.inc({ type, component })
}
