import type { ServerRow } from '../harness/row.ts'
import { BARE_TWICE, contend } from './contenders.ts'

const path = '/quote'
const script = 'src/servers/measured-route.ts'

/** What metrics cost a route that has nothing else to do. */
export const measuredRoute: ServerRow = {
  kind: 'server',
  name: 'measured-route',
  title: 'GET of a small JSON answer with metrics of requests, 50 connections',
  connections: 50,
  ...contend({ script, path }, [
    { name: 'ours', args: ['ours'], against: 'bare' },
    { name: 'fastify-metrics', args: ['fastify-metrics'], against: 'bare' },
    { name: 'prom-client by hand', args: ['by-hand'], against: 'bare' },
    ...BARE_TWICE,
  ]),
  goals: [
    {
      claim: 'A route with metrics answers almost as many requests as a bare one',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      atLeast: 0.92,
    },
  ],
}
