import type { ServerRow } from '../harness/row.ts'

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
  servers: {
    ours: { script, args: ['ours'], readyPath },
    elsewhere: { script, args: ['elsewhere'], readyPath },
    closed: { script, args: ['closed'], readyPath },
    bare: { script, args: ['bare'], readyPath },
    bareAgain: { script, args: ['bare'], readyPath },
  },
  variants: [
    { name: 'ours', server: 'ours', path, against: 'bare' },
    { name: 'ours, something else is closed', server: 'elsewhere', path, against: 'bare' },
    { name: 'ours, closed', server: 'closed', path, expectStatus: 503, against: 'bare' },
    { name: 'bare', server: 'bare', path },
    { name: 'bare (A/A control)', server: 'bareAgain', path, against: 'bare' },
  ],
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
