import type { ServerRow } from '../harness/row.ts'

const path = '/quote'
const script = 'src/servers/measured-route.ts'

/** What metrics cost a route that has nothing else to do. */
export const measuredRoute: ServerRow = {
  kind: 'server',
  name: 'measured-route',
  title: 'GET of a small JSON answer with metrics of requests, 50 connections',
  connections: 50,
  servers: {
    ours: { script, args: ['ours'], readyPath: path },
    peer: { script, args: ['fastify-metrics'], readyPath: path },
    byHand: { script, args: ['by-hand'], readyPath: path },
    bare: { script, args: ['bare'], readyPath: path },
    bareAgain: { script, args: ['bare'], readyPath: path },
  },
  variants: [
    { name: 'ours', server: 'ours', path, against: 'bare' },
    { name: 'bare', server: 'bare', path },
    { name: 'fastify-metrics', server: 'peer', path, against: 'bare' },
    { name: 'prom-client by hand', server: 'byHand', path, against: 'bare' },
    { name: 'bare (A/A control)', server: 'bareAgain', path, against: 'bare' },
  ],
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
