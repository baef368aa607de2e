import type { ServerRow } from '../harness/row.ts'

const path = '/quote'
const script = 'src/servers/guarded-route.ts'

/** What a closed breaker with a time-out costs a route that has nothing else to do. */
export const guardedRoute: ServerRow = {
  kind: 'server',
  name: 'guarded-route',
  title: 'GET of a small JSON answer behind a closed breaker with a time-out, 50 connections',
  connections: 50,
  servers: {
    ours: { script, args: ['ours'], readyPath: path },
    peer: { script, args: ['peer'], readyPath: path },
    bare: { script, args: ['bare'], readyPath: path },
    bareAgain: { script, args: ['bare'], readyPath: path },
  },
  variants: [
    { name: 'ours', server: 'ours', path, against: 'bare' },
    { name: 'bare', server: 'bare', path },
    { name: '@fastify/circuit-breaker', server: 'peer', path, against: 'bare' },
    { name: 'bare (A/A control)', server: 'bareAgain', path, against: 'bare' },
  ],
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
