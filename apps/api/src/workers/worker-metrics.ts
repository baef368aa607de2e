// What is counted about every worker, whatever it does.

import type { Metrics } from '@holdfast/metrics'

/** More kinds of workers, and things that they do by themselves, than there are. */
const MAX_WORKERS = 200

/** Counts what workers do. */
export interface WorkerMetrics {
  /** A worker has done what it is for, at this time. */
  succeeded(worker: string, wallMs: number): void
  /** A worker has held a connection for so long. */
  held(worker: string, heldMs: number): void
}

/** Makes `worker_last_success_timestamp_seconds` and `worker_connection_hold_seconds`; once for all workers of a process. */
export function workerMetrics(metrics: Pick<Metrics, 'gauge' | 'histogram'>): WorkerMetrics {
  const labels = { worker: { max: MAX_WORKERS } } as const
  const last = metrics.gauge({
    name: 'worker_last_success_timestamp_seconds',
    help: 'When a worker has last done what it is for, in seconds since 1970',
    labels,
    // Of several processes one does it at a time.
    aggregate: 'max',
  })
  const held = metrics.histogram({
    name: 'worker_connection_hold_seconds',
    help: 'For how long a worker held a connection to save what it had found',
    labels,
  })
  return {
    succeeded: (worker, wallMs) => last.set({ worker }, wallMs / 1000),
    held: (worker, heldMs) => held.observe({ worker }, heldMs / 1000),
  }
}
