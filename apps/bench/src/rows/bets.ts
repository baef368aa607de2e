import type { ServerRow, ServerSpec } from '../harness/row.ts'
import { betsWorld } from './bets-world.ts'

const path = '/api/bets'
const state = 'undisturbed'
const expectStatus = 201
/** Nobody reaches it. */
const UNLIMITED = '1000000/minute'

function plain(how: string): ServerSpec {
  return { script: 'src/servers/bet-route.ts', args: [how], readyPath: '/ready' }
}

/**
 * Placing bets, and asking again for those that were placed. Ours is the whole service with who may and how often, the
 * naive ones are a route. No plugin for idempotency on Fastify 5 is kept: `@node-idempotency/fastify` (1.0.6) wants
 * Fastify 4 and is gone from the registry, and its core knows neither Fastify nor transactions.
 */
export const bets: ServerRow = {
  kind: 'server',
  name: 'bets',
  title: 'POST /api/bets of 32 people on one event over one PostgreSQL, 20 connections; figures per answer',
  connections: 20,
  prepare: betsWorld,
  servers: {
    ours: {
      script: '../api/src/main.ts',
      readyPath: '/readyz',
      environment: (port) => ({
        API_HOST: '127.0.0.1',
        API_PORT: String(port),
        LOG_LEVEL: 'warn',
        PROCESS_TYPE: 'web',
        RATE_LIMITS_BET: UNLIMITED,
        RATE_LIMITS_IP: UNLIMITED,
      }),
    },
    bare: plain('bare'),
    'key first': plain('key-first'),
  },
  variants: [
    { name: 'ours', server: 'ours', path, state, expectStatus, posts: 'ours', against: 'bare' },
    { name: 'key first', server: 'key first', path, state, expectStatus, posts: 'plain', against: 'bare' },
    { name: 'bare', server: 'bare', path, state, expectStatus, posts: 'plain' },
    {
      name: 'ours, repeats',
      server: 'ours',
      path,
      state,
      expectStatus,
      posts: 'ours again',
      against: 'key first, repeats',
    },
    { name: 'key first, repeats', server: 'key first', path, state, expectStatus, posts: 'plain again' },
  ],
  goals: [
    {
      claim: 'A bet through the whole service costs at most twice the CPU of three inserts in a bare route',
      figure: 'cpuMicroseconds',
      of: 'ours',
      against: 'bare',
      atMost: 2,
    },
    {
      claim: 'It costs at most half more CPU than a route that writes its key first and its answer last',
      figure: 'cpuMicroseconds',
      of: 'ours',
      against: 'key first',
      atMost: 1.5,
    },
    {
      claim: 'A bet takes at most three quarters of the statements of that route',
      figure: 'statements',
      of: 'ours',
      against: 'key first',
      atMost: 0.75,
    },
    {
      claim: 'A repeat costs at most half more CPU than with a stored answer',
      figure: 'cpuMicroseconds',
      of: 'ours, repeats',
      against: 'key first, repeats',
      atMost: 1.5,
    },
    {
      claim: 'The p99 of bets is at most one and a half times that of that route',
      figure: 'p99Ms',
      of: 'ours',
      against: 'key first',
      atMost: 1.5,
    },
    { claim: 'Every answer is one bet', figure: 'executions', of: 'ours', atLeast: 1, atMost: 1 },
    { claim: 'No repeat is one more', figure: 'executions', of: 'ours, repeats', atMost: 0 },
  ],
}
