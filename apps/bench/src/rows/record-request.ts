import type { LoopRow } from '../harness/row.ts'

const ours = 'src/loops/record-request-ours.ts'
const promClient = 'src/loops/record-request-prom-client.ts'

/** What recording costs a request. */
export const recordRequest: LoopRow = {
  kind: 'loop',
  name: 'record-request',
  title: 'recording one request with method, route and status in 14 buckets; figures per request',
  variants: [
    { name: 'ours', module: ours, args: ['request'], against: 'prom-client' },
    { name: 'ours, kept series', module: ours, args: ['child'], against: 'prom-client' },
    { name: 'prom-client', module: promClient, args: ['labels'] },
    { name: 'prom-client, kept labels()', module: promClient, args: ['child'], against: 'prom-client' },
  ],
  goals: [
    {
      claim: "Recording a request takes a tenth of the time of prom-client's `observe` with labels",
      figure: 'nanoseconds',
      of: 'ours',
      against: 'prom-client',
      atMost: 0.1,
    },
  ],
}
