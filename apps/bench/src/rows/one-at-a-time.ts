import type { ServerRow } from '../harness/row.ts'
import { BARE_TWICE, contend } from './contenders.ts'
import { redisWorld } from './redis-world.ts'

const path = '/quote'
const script = 'src/servers/one-at-a-time-route.ts'
const state = 'undisturbed'

/** What it costs a route that one operation of a key runs at a time. */
export const oneAtATime: ServerRow = {
  kind: 'server',
  name: 'one-at-a-time',
  title: 'requests of ever new clients to a route that runs one of each at a time, 50 connections',
  connections: 50,
  prepare: redisWorld,
  ...contend({ script, path, state }, [
    { name: 'ours', args: ['ours'], against: 'bare' },
    { name: 'ours, leases in Redis', args: ['ours-redis'], against: 'bare' },
    ...BARE_TWICE,
  ]),
  goals: [
    {
      claim: 'A route with concurrency-guard in memory answers nearly as many requests as a bare one',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      atLeast: 0.85,
    },
  ],
}
