/** Counted since the start of this process. */
export interface SessionCounts {
  loads: number
  /** Loads that found no session. */
  misses: number
  created: number
  logins: number
  elevations: number
  logouts: number
  revoked: number
  commits: number
  conflicts: number
  touches: number
  /** Ids that this service did not mint. */
  badIds: number
  oddities: number
  failures: number
  /** Requests that were believed without Redis. */
  believed: number
  /** Logins without Redis, and those that became sessions afterwards. */
  sealedLogins: number
  claimed: number
  /** Changes without Redis that were kept afterwards, and those, and logins, that were not. */
  merged: number
  discarded: number
  /** Ends that Redis could not be told at once, and those it was told later. */
  journalled: number
  replayed: number
}

export function newCounts(): SessionCounts {
  return {
    loads: 0,
    misses: 0,
    created: 0,
    logins: 0,
    elevations: 0,
    logouts: 0,
    revoked: 0,
    commits: 0,
    conflicts: 0,
    touches: 0,
    badIds: 0,
    oddities: 0,
    failures: 0,
    believed: 0,
    sealedLogins: 0,
    claimed: 0,
    merged: 0,
    discarded: 0,
    journalled: 0,
    replayed: 0,
  }
}
