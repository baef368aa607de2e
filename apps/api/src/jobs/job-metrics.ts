// What is counted about jobs.

import type { Clock } from '@holdfast/footing'
import type { Metrics } from '@holdfast/metrics'
import type { QueueDepths } from './job-queue.ts'
import { QUEUE_NAMES, type QueueName } from './queues.ts'

/**
 * How a try has ended. `retried`, `dead`, `poison`: it has failed, and is tried again, or not; of the last the payload
 * could not be read. `returned`: the process ended before it. `lost`: it was somebody else's by then. `unsettled`: the
 * database could not be told, and somebody else begins it when its heartbeat is over.
 */
export const JOB_OUTCOMES = [
  'completed',
  'retried',
  'dead',
  'poison',
  'returned',
  'lost',
  'unsettled',
] as const

export type JobOutcome = (typeof JOB_OUTCOMES)[number]

/** Counts a try that has ended. */
export type JobRecorder = (queue: QueueName, outcome: JobOutcome, seconds: number) => void

const FRESH_MS = 5000
const STATES = ['waiting', 'active', 'dead'] as const
/** From a statement or two to the longest deadline. */
const BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** Makes all metrics of jobs. The database is asked every five seconds at most, however often they are read. */
export function jobMetrics(
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>,
  depths: () => Promise<QueueDepths>,
  clock: Clock,
): JobRecorder {
  const read = remembered(depths, clock)
  /** Every process knows all of them; while the database is away nobody does. */
  const collecting = (set: (known: QueueDepths | undefined, queue: QueueName) => void) => async () => {
    const known = await read().catch(() => undefined)
    for (const queue of QUEUE_NAMES) set(known, queue)
  }
  const depth = metrics.gauge({
    name: 'job_queue_depth',
    help: 'Jobs that wait, run, or are dead letters that nobody has dealt with; not known while the database is away',
    labels: { queue: QUEUE_NAMES, state: STATES },
    aggregate: 'max',
    collect: collecting((known, queue) => {
      const { waiting, active, failed } = known?.[queue] ?? UNKNOWN
      depth.set({ queue, state: 'waiting' }, waiting)
      depth.set({ queue, state: 'active' }, active)
      depth.set({ queue, state: 'dead' }, failed)
    }),
  })
  const oldest = metrics.gauge({
    name: 'job_oldest_ready_age_seconds',
    help: 'For how long the first job that could be begun has waited; 0 when there is none',
    labels: { queue: QUEUE_NAMES },
    aggregate: 'max',
    collect: collecting((known, queue) => {
      oldest.set({ queue }, (known?.[queue] ?? UNKNOWN).oldestReadySeconds)
    }),
  })
  const letters = metrics.gauge({
    name: 'job_dead_letters',
    help: 'Dead letters that nobody has dealt with',
    labels: { queue: QUEUE_NAMES },
    aggregate: 'max',
    collect: collecting((known, queue) => {
      letters.set({ queue }, (known?.[queue] ?? UNKNOWN).failed)
    }),
  })
  const oldestLetter = metrics.gauge({
    name: 'job_oldest_dead_letter_age_seconds',
    help: 'How long ago the first dead letter died that nobody has dealt with; 0 when there is none',
    labels: { queue: QUEUE_NAMES },
    aggregate: 'max',
    collect: collecting((known, queue) => {
      oldestLetter.set({ queue }, (known?.[queue] ?? UNKNOWN).oldestFailedSeconds)
    }),
  })
  const attempts = metrics.counter({
    name: 'job_attempts_total',
    help: 'Tries of jobs, by how they have ended',
    labels: { queue: QUEUE_NAMES, outcome: JOB_OUTCOMES },
  })
  const duration = metrics.histogram({
    name: 'job_duration_seconds',
    help: 'Time from the begin of a try until its end is stored',
    labels: { queue: QUEUE_NAMES },
    buckets: BUCKETS,
  })
  return (queue, outcome, seconds) => {
    attempts.inc({ queue, outcome })
    duration.observe({ queue }, seconds)
  }
}

const UNKNOWN = {
  waiting: Number.NaN,
  active: Number.NaN,
  failed: Number.NaN,
  oldestReadySeconds: Number.NaN,
  oldestFailedSeconds: Number.NaN,
}

/** One question at a time, and an answer that is good for a while; a failure is not remembered. */
function remembered(ask: () => Promise<QueueDepths>, clock: Clock): () => Promise<QueueDepths> {
  let last: Promise<QueueDepths> | undefined
  let untilMs = 0
  return () => {
    if (last !== undefined && clock.nowMs() < untilMs) return last
    untilMs = Number.POSITIVE_INFINITY
    last = ask().then(
      (depths) => {
        untilMs = clock.nowMs() + FRESH_MS
        return depths
      },
      (error: unknown) => {
        untilMs = 0
        throw error
      },
    )
    return last
  }
}
