/** `request`: as the plugin records a request, for its counter and its histogram; `child`: a histogram's kept series. */
import { HttpRequests, MetricSet, OwnRegistry } from '@holdfast/metrics'
import type { CreateLoop } from '../harness/row.ts'
import { recordingLoop, routes, statuses } from './record-request.ts'

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

const createLoop: CreateLoop = async ([kind]) => {
  const set = new MetricSet(new OwnRegistry())
  if (kind === 'request') {
    const requests = new HttpRequests(set, { buckets: Float64Array.from(BUCKETS), maxRoutes: 500 })
    const recorders = routes.map((route) => requests.route(route))
    return recordingLoop(
      (route, status, seconds) => recorders[route]?.record('GET', status, seconds),
      async () => {
        let count = 0
        for (const recorder of recorders) for (const row of recorder.rows()) count += row.count
        return count
      },
    )
  }
  const histogram = set.histogram({
    name: 'request_seconds',
    help: 'Requests',
    labels: { method: ['GET'], route: { max: 100 }, status: { max: 20 } },
    buckets: BUCKETS,
  })
  const children = routes.map(
    (route) =>
      new Map(
        [...new Set(statuses)].map((status) => [
          status,
          histogram.child({ method: 'GET', route, status: String(status) }),
        ]),
      ),
  )
  return recordingLoop(
    (route, status, seconds) => children[route]?.get(status)?.observe(seconds),
    async () => children.flatMap((all) => [...all.values()]).reduce((sum, { count }) => sum + count, 0),
  )
}
export default createLoop
