import type { ServerRow } from '../harness/row.ts'
import { BARE_TWICE, contend } from './contenders.ts'

const path = '/quote'
const readyPath = '/ready'
const script = 'src/servers/maintained-route.ts'

/** What it costs every request that a service can be closed. */
export const maintenance: ServerRow = {
  kind: 'server',
  name: 'maintenance',
  title:
    'GET of a small JSON answer of a service that can be closed for maintenance, 50 connections; while something else is closed, and while it is itself',
  connections: 50,
  ...contend({ script, path, readyPath }, [
    { name: 'ours', args: ['ours'], against: 'bare' },
    { name: 'ours, something else is closed', args: ['elsewhere'], against: 'bare' },
    { name: 'ours, closed', args: ['closed'], expectStatus: 503, against: 'bare' },
    ...BARE_TWICE,
  ]),
  goals: [
    {
      claim: 'A service that can be closed answers almost as many requests while nothing is',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      atLeast: 0.97,
    },
  ],
}
