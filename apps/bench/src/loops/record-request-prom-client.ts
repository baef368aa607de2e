/** prom-client's histogram with the same buckets: `labels` names them at each observation, `child` keeps `labels()`. */
import { Histogram, Registry } from 'prom-client'
import type { CreateLoop } from '../harness/row.ts'
import { recordingLoop, routes, statuses } from './record-request.ts'

const createLoop: CreateLoop = async ([kind]) => {
  const histogram = new Histogram({
    name: 'request_seconds',
    help: 'Requests',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
    registers: [new Registry()],
  })
  const count = async () => {
    const { values } = await histogram.get()
    return values.reduce(
      (sum, { metricName, value }) => (metricName === 'request_seconds_count' ? sum + value : sum),
      0,
    )
  }
  if (kind === 'labels') {
    return recordingLoop((route, status, seconds) => {
      histogram.observe({ method: 'GET', route: routes[route] ?? '', status }, seconds)
    }, count)
  }
  const children = routes.map(
    (route) =>
      new Map(
        [...new Set(statuses)].map((status) => [status, histogram.labels({ method: 'GET', route, status })]),
      ),
  )
  return recordingLoop((route, status, seconds) => children[route]?.get(status)?.observe(seconds), count)
}
export default createLoop
