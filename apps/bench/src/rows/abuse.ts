import type { ServerRow } from '../harness/row.ts'
import { redisWorld } from './redis-world.ts'

const path = '/quote'
const script = 'src/servers/counted-route.ts'
const state = 'undisturbed'

/** What it costs every request to be counted by its address. */
export const abuse: ServerRow = {
  kind: 'server',
  name: 'abuse',
  title: 'requests of a thousand addresses behind a proxy, each counted, 50 connections',
  connections: 50,
  prepare: redisWorld,
  servers: {
    ours: { script, args: ['ours'], readyPath: path },
    oursRedis: { script, args: ['ours-redis'], readyPath: path },
    bare: { script, args: ['bare'], readyPath: path },
    bareAgain: { script, args: ['bare'], readyPath: path },
  },
  variants: [
    { name: 'ours', server: 'ours', path, state, against: 'bare' },
    { name: 'bare', server: 'bare', path, state },
    { name: 'ours, blocks in Redis', server: 'oursRedis', path, state, against: 'bare' },
    { name: 'bare (A/A control)', server: 'bareAgain', path, state, against: 'bare' },
  ],
  goals: [
    {
      claim: 'A service answers almost as many requests with abuse-guard on each of them',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      atLeast: 0.97,
    },
    {
      claim: 'Sharing the blocks through Redis costs requests nothing',
      figure: 'requestsPerSecond',
      of: 'ours, blocks in Redis',
      against: 'bare',
      atLeast: 0.97,
    },
  ],
}
