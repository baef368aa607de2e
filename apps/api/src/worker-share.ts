// What one of several workers may have of what the settings give all of them: with more workers the database and the
// machine see no more connections.

import type { Config } from './config.ts'

type Shared = Pick<Config, 'dbWebPoolMax' | 'dbMaxOverflow' | 'dbPoolMin' | 'maxConnections'>

/** Its part, rounded up: none is left without a connection. */
export function shareOf(config: Shared, workers: number): Shared {
  const part = (whole: number) => Math.ceil(whole / workers)
  return {
    dbWebPoolMax: part(config.dbWebPoolMax),
    dbMaxOverflow: part(config.dbMaxOverflow),
    dbPoolMin: part(config.dbPoolMin),
    maxConnections: part(config.maxConnections),
  }
}
