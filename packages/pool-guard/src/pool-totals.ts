/** What happened to the connections of a pool since its construction. */
export interface PoolTotals {
  readonly opened: number
  readonly connectFailures: number
  /** Connections that broke. */
  readonly lost: number
  /** Idle connections that failed their trial. */
  readonly pingFailures: number
  /** Clients released inside a transaction or while a statement ran. */
  readonly dirtyReleases: number
  readonly leaks: number
  readonly reclaimed: number
  /** CancelRequests after which the statement ended as cancelled. */
  readonly cancelled: number
  /** CancelRequests that came too late: the statement had ended by itself. */
  readonly cancelsTooLate: number
  /** Connections destroyed because a cancelled statement did not end. */
  readonly destroyedByCancel: number
}

/** What a pool counts itself; leaks are counted where they are found. */
export type PoolCounters = { -readonly [Name in Exclude<keyof PoolTotals, 'leaks'>]: number }

/** All at 0. */
export function noCounts(): PoolCounters {
  return {
    opened: 0,
    connectFailures: 0,
    lost: 0,
    pingFailures: 0,
    dirtyReleases: 0,
    reclaimed: 0,
    cancelled: 0,
    cancelsTooLate: 0,
    destroyedByCancel: 0,
  }
}
