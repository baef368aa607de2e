// What one of several workers may have of what the settings give all of them: with more workers the database and the
// machine see no more connections.

import { type Config, type PoolSettings, poolSizeOf, workersOf } from './config.ts'

/** Its part. */
export interface WorkerShare {
  readonly poolMax: number
  readonly poolOverflow: number
  readonly poolMin: number
  readonly maxConnections: number
}

/** Its part, rounded up: none is left without a connection. */
export function shareOf(config: PoolSettings & Pick<Config, 'maxConnections'>, workers: number): WorkerShare {
  const part = (whole: number) => Math.ceil(whole / workers)
  const { max, maxOverflow, min } = poolSizeOf(config)
  return {
    poolMax: part(max),
    poolOverflow: part(maxOverflow),
    poolMin: part(min),
    maxConnections: part(config.maxConnections),
  }
}

/** Connections to the database that so many processes of the service may open together, with their bursts and without. */
export function connectionsOf(config: Config, processes: number) {
  const { poolMax, poolOverflow } = shareOf(config, workersOf(config))
  return {
    connections: processes * (poolMax + poolOverflow),
    steadyConnections: processes * poolMax,
  }
}
