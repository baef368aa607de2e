// What is counted about settlement.

import type { Metrics } from '@holdfast/metrics'
import type { SettledPart } from './settlement.ts'

const OUTCOMES = ['won', 'lost', 'void'] as const

/** Counts bets that were settled. */
export type CountSettled = (bets: SettledPart['bets']) => void

/** Makes `bets_settled_total`. */
export function settlementMetrics(metrics: Pick<Metrics, 'counter'>): CountSettled {
  const settled = metrics.counter({
    name: 'bets_settled_total',
    help: 'Bets that were settled, by how they ended',
    labels: { outcome: OUTCOMES },
  })
  return (bets) => {
    for (const outcome of OUTCOMES) if (bets[outcome] > 0) settled.inc({ outcome }, bets[outcome])
  }
}
