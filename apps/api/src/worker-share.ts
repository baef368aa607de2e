// What one of several workers may have of what the settings give all of them: with more workers the database and the
// machine see no more connections.

import { type Config, workersOf } from './config.ts'

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

/** Connections to the database that so many processes of the service may open together, with their bursts and without. */
export function connectionsOf(config: Config, processes: number) {
  const { dbWebPoolMax, dbMaxOverflow } = shareOf(config, workersOf(config))
  return {
    connections: processes * (dbWebPoolMax + dbMaxOverflow),
    steadyConnections: processes * dbWebPoolMax,
  }
}
