// What is counted about asking for odds.

import type { Metrics } from '@holdfast/metrics'

/**
 * `partial`: some events were not believed; `limited`: 429; `unavailable`: no answer, or one of 5xx; `timed_out`: none in
 * time; `unreadable`: one that cannot be used.
 */
export const FETCH_OUTCOMES = ['ok', 'partial', 'limited', 'unavailable', 'timed_out', 'unreadable'] as const

/** How asking for the odds of a sport ended. */
export type FetchOutcome = (typeof FETCH_OUTCOMES)[number]

const OUTCOMES_OF_ERRORS: Readonly<Record<string, FetchOutcome>> = {
  HOLDFAST_ERR_API_PROVIDER_LIMITED: 'limited',
  HOLDFAST_ERR_API_PROVIDER_UNAVAILABLE: 'unavailable',
  HOLDFAST_ERR_API_PROVIDER_TIMEOUT: 'timed_out',
  HOLDFAST_ERR_API_PROVIDER_UNREADABLE: 'unreadable',
}

/** Undefined for an error that is not the provider's. */
export function outcomeOfError(error: unknown): FetchOutcome | undefined {
  const { code } = Object(error) as { code?: unknown }
  return OUTCOMES_OF_ERRORS[String(code)]
}

/** Counts requests to the provider. */
export type CountFetch = (outcome: FetchOutcome) => void

/** Makes `odds_fetches_total`. */
export function oddsMetrics(metrics: Pick<Metrics, 'counter'>): CountFetch {
  const fetches = metrics.counter({
    name: 'odds_fetches_total',
    help: 'Requests to the provider of odds, by how they ended',
    labels: { outcome: FETCH_OUTCOMES },
  })
  return (outcome) => fetches.inc({ outcome })
}
