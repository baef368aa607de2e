import { dutiesOf } from '../process-type.ts'
import type { Config } from './every-setting.ts'

/** The settings that say how large the pool is. */
export type PoolSettings = Pick<
  Config,
  'processType' | 'dbWebPoolMax' | 'dbWorkerPoolMax' | 'dbMaxOverflow' | 'dbPoolMin'
>

/** The pool of all workers of this machine together. */
export interface PoolSize {
  readonly max: number
  /** Beyond `max`, for bursts. */
  readonly maxOverflow: number
  readonly min: number
  /** The name of the setting that `max` comes from. */
  readonly setting: 'DB_WEB_POOL_MAX' | 'DB_WORKER_POOL_MAX'
}

/** Only people come in bursts. */
export function poolSizeOf(settings: PoolSettings): PoolSize {
  const { dbWebPoolMax, dbWorkerPoolMax, dbMaxOverflow, dbPoolMin: min } = settings
  return dutiesOf(settings.processType).serves
    ? { max: dbWebPoolMax, maxOverflow: dbMaxOverflow, min, setting: 'DB_WEB_POOL_MAX' }
    : { max: dbWorkerPoolMax, maxOverflow: 0, min, setting: 'DB_WORKER_POOL_MAX' }
}
