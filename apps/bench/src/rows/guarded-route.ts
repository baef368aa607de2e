import type { ServerRow } from '../harness/row.ts'
import { BARE_TWICE, contend } from './contenders.ts'

const path = '/quote'
const script = 'src/servers/guarded-route.ts'

/** What a closed breaker with a time-out costs a route that has nothing else to do. */
export const guardedRoute: ServerRow = {
  kind: 'server',
  name: 'guarded-route',
  title: 'GET of a small JSON answer behind a closed breaker with a time-out, 50 connections',
  connections: 50,
  ...contend({ script, path }, [
    { name: 'ours', args: ['ours'], against: 'bare' },
    { name: '@fastify/circuit-breaker', args: ['peer'], against: 'bare' },
    ...BARE_TWICE,
  ]),
  goals: [
    {
      claim: 'A guarded route answers almost as many requests as a bare one',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      atLeast: 0.97,
    },
  ],
}
