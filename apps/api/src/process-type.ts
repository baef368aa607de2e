// What a process is for. By default one does everything; in a cluster each type is a deployment of its own, sized and
// replaced by itself. Every process has the guards, the probes and the routes of operators.

/** The values of `PROCESS_TYPE`. */
export const PROCESS_TYPES = ['all', 'web', 'worker_bots', 'worker_odds', 'worker_settlement'] as const

export type ProcessType = (typeof PROCESS_TYPES)[number]

/** What a process of some type does. */
export interface Duties {
  /** Answers people: the routes of the business, and sign-in. */
  readonly serves: boolean
  readonly runsBots: boolean
  /** Asks the provider for odds, where one is set. */
  readonly fetchesOdds: boolean
  readonly settlesBets: boolean
  /** Delivers what operators are told, where there is a way. */
  readonly notifies: boolean
}

/** Whoever works notifies, too: it is little, and no deployment can be forgotten for it. */
export function dutiesOf(type: ProcessType): Duties {
  const everything = type === 'all'
  return {
    serves: everything || type === 'web',
    runsBots: everything || type === 'worker_bots',
    fetchesOdds: everything || type === 'worker_odds',
    settlesBets: everything || type === 'worker_settlement',
    notifies: type !== 'web',
  }
}
