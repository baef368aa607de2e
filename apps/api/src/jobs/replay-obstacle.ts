// What keeps a job from succeeding at the moment, as far as this process knows: whoever puts it in again now would spend
// one of its replays on what is known to fail.

import type { PoolGuard } from '@holdfast/pool-guard'
import type { QueueName } from './queues.ts'

/** What a job needs and cannot have now. */
export interface Obstacle {
  /** In words, without secrets. */
  readonly why: string
  /** When asking again may help, in ms. */
  readonly retryAfterMs: number
}

/** The obstacle of a job, by its payload, whatever that is; undefined: none is known. */
export type FindObstacle = (queue: QueueName, payload: unknown) => Obstacle | undefined

/** Where obstacles are. */
export interface ObstacleParts {
  readonly pool: Pick<PoolGuard, 'pressure'>
  /** Of a message: whether the way that it goes by is open. */
  readonly delivery: { obstacle(payload: unknown): Obstacle | undefined }
}

const PRESSED: Obstacle = { why: 'the database is under pressure', retryAfterMs: 1000 }

/** Every job needs the database, which cannot be asked at all while it is away; a message needs its way, too. */
export function obstacleFinder({ pool, delivery }: ObstacleParts): FindObstacle {
  return (queue, payload) => {
    if (pool.pressure.state === 'pressed') return PRESSED
    return queue === 'notify' ? delivery.obstacle(payload) : undefined
  }
}
