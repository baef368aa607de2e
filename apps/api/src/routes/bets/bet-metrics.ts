// What is counted about bets.

import type { Metrics } from '@holdfast/metrics'
import { runInScope } from '@holdfast/pool-guard'
import type { FastifyInstance } from 'fastify'
import type { BetRepository } from './bet-repository.ts'

/**
 * `replayed`: it was placed by a request before; `refused`: for what it was; `limited`: for when it came; `failed`: the
 * service could not.
 */
export type PlacingOutcome = 'accepted' | 'replayed' | 'refused' | 'limited' | 'failed'

const OUTCOMES: readonly PlacingOutcome[] = ['accepted', 'replayed', 'refused', 'limited', 'failed']
/** Tenants choose them; more are one series. */
const MAX_CURRENCIES = 20
const FRESH_MS = 30_000
const STALE_MS = 120_000
const BUDGET_MS = 1000

/** Counts how requests to place a bet end. */
export type CountPlacing = (outcome: PlacingOutcome) => void

/** What became of a request that was answered with this status. */
export function placingOutcome(statusCode: number, replayed: boolean): PlacingOutcome {
  if (statusCode < 400) return replayed ? 'replayed' : 'accepted'
  if (statusCode === 429) return 'limited'
  return statusCode < 500 ? 'refused' : 'failed'
}

/** Makes `bets_placed_total` and `stakes_open_minor`. */
export function betMetrics(
  metrics: Pick<Metrics, 'counter' | 'gauge'>,
  repository: Pick<BetRepository, 'openStakes'>,
  caches: FastifyInstance['staleCache'],
): CountPlacing {
  const placed = metrics.counter({
    name: 'bets_placed_total',
    help: 'Requests to place a bet, by what became of them',
    labels: { outcome: OUTCOMES },
  })
  // However often it is scraped, the database is asked every 30 seconds at most, and never keeps a scrape waiting.
  const stakes = caches.create<ReadonlyMap<string, number> | null>('open-stakes', {
    load: async () => {
      const scope = { criticality: 'background', route: 'open stakes' } as const
      return [{ key: 'all', value: await runInScope(scope, () => repository.openStakes()) }]
    },
    fallback: () => null,
    represent: false,
    isKey: (key) => key === 'all',
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    hardTimeoutMs: BUDGET_MS,
  })
  const seen = new Set<string>()
  const open = metrics.gauge({
    name: 'stakes_open_minor',
    help: 'Stakes of the bets that are not settled yet, of all users, in minor units of the currency; not known while the database is away',
    labels: { currency: { max: MAX_CURRENCIES } },
    // Every process knows all of them.
    aggregate: 'max',
    collect: async () => {
      const found = (await stakes.get('all').catch(() => null)) ?? undefined
      for (const currency of found?.keys() ?? []) if (seen.size < MAX_CURRENCIES) seen.add(currency)
      const isKnown = found !== undefined
      for (const currency of seen) open.set({ currency }, isKnown ? (found.get(currency) ?? 0) : Number.NaN)
    },
  })
  return (outcome) => placed.inc({ outcome })
}
