// What the primary tells about its workers, besides what they tell themselves.

import { LOSS_REASONS, type WorkerFleet } from '@holdfast/lifecycle'
import { MetricSet, type RegistryLike } from '@holdfast/metrics'

/** Puts the metrics of a fleet on the registry of its primary. */
export function fleetMetrics(registry: RegistryLike, fleet: Pick<WorkerFleet, 'snapshot'>): void {
  const set = new MetricSet(registry)
  const lost = set.counter({
    name: 'api_workers_lost_total',
    help: 'Workers that had to be started again, by why; only where there are several, as all of api_workers',
    labels: { reason: LOSS_REASONS },
  })
  const replaced = set.counter({
    name: 'api_workers_replaced_total',
    help: 'Workers that a restart has replaced, one after the other',
  })
  const expected = set.gauge({ name: 'api_workers_expected', help: 'Workers that there are to be' })
  const silence = set.gauge({
    name: 'api_worker_silence_seconds',
    help: 'The longest time for which one of the workers that serve has not answered the process above them',
  })
  const serving = set.gauge({
    name: 'api_workers_serving',
    help: 'Workers that have begun to serve and have not ended',
    // One look for all of them, before any of their values is read.
    collect: () => {
      const { pids, serving: count, lostBy, replaced: ever, silentMs } = fleet.snapshot()
      expected.set(pids.length)
      serving.set(count)
      silence.set(silentMs / 1000)
      for (const reason of LOSS_REASONS) raise(lost.child({ reason }), lostBy[reason])
      raise(replaced.child({}), ever)
    },
  })
}

function raise(counter: { readonly value: number; inc(by: number): void }, to: number): void {
  counter.inc(to - counter.value)
}
