import type { ServerRow } from '../harness/row.ts'

const script = 'src/servers/headers-route.ts'
const path = '/'

/** What the headers that protect cost on every answer, and what errors cost. */
export const headers: ServerRow = {
  kind: 'server',
  name: 'headers',
  title: 'GET of a small JSON answer with all headers that protect, 50 connections; a 404 and a 500',
  connections: 50,
  servers: {
    ours: { script, args: ['ours'], readyPath: path },
    peer: { script, args: ['helmet'], readyPath: path },
    bare: { script, args: ['bare'], readyPath: path },
    bareAgain: { script, args: ['bare'], readyPath: path },
  },
  variants: [
    { name: 'ours', server: 'ours', path, against: '@fastify/helmet' },
    { name: '@fastify/helmet', server: 'peer', path, against: 'bare' },
    { name: 'bare', server: 'bare', path },
    { name: 'bare (A/A control)', server: 'bareAgain', path, against: 'bare' },
    { name: 'ours, 404', server: 'ours', path: '/nowhere', expectStatus: 404, against: 'bare, 404' },
    { name: 'bare, 404', server: 'bare', path: '/nowhere', expectStatus: 404 },
    { name: 'ours, 500', server: 'ours', path: '/fault', expectStatus: 500, against: 'bare, 500' },
    { name: 'bare, 500', server: 'bare', path: '/fault', expectStatus: 500 },
  ],
  goals: [
    {
      claim:
        'A service with every header that protects answers far more requests than with `@fastify/helmet`',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: '@fastify/helmet',
      atLeast: 1.4,
    },
    {
      claim: 'A 404 with a document, an id and every header costs at most half more than a bare one',
      figure: 'requestsPerSecond',
      of: 'ours, 404',
      against: 'bare, 404',
      atLeast: 0.66,
    },
  ],
}
