import type { ServerRow } from '../harness/row.ts'
import { BARE_TWICE, contend } from './contenders.ts'
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
  ...contend({ script, path, state }, [
    { name: 'ours', args: ['ours'], against: 'bare' },
    { name: 'ours, blocks in Redis', args: ['ours-redis'], against: 'bare' },
    ...BARE_TWICE,
    // Each two applications of one process in turn: three of a hundred are less than two processes differ by themselves.
    { name: 'ours and bare in turn', args: ['ours', 'bare'], hasFigures: true },
    { name: 'ours, Redis, and bare in turn', args: ['ours-redis', 'bare'], hasFigures: true },
    { name: 'address only and bare in turn', args: ['address', 'bare'], hasFigures: true },
    { name: 'bare and bare in turn (A/A)', args: ['bare', 'bare'], hasFigures: true },
  ]),
  goals: [
    {
      claim: 'A service answers almost as many requests with abuse-guard on each of them',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      control: 'bare (A/A control)',
      atLeast: 0.97,
    },
    {
      claim: 'Sharing the blocks through Redis costs requests nothing',
      figure: 'requestsPerSecond',
      of: 'ours, blocks in Redis',
      against: 'bare',
      control: 'bare (A/A control)',
      atLeast: 0.97,
    },
    {
      claim: 'A request costs at most 3 % more CPU with abuse-guard',
      figure: 'cpuOfReference',
      of: 'ours and bare in turn',
      control: 'bare and bare in turn (A/A)',
      atMost: 1.03,
    },
    {
      claim: 'A request costs at most 3 % more CPU with abuse-guard that shares its blocks',
      figure: 'cpuOfReference',
      of: 'ours, Redis, and bare in turn',
      control: 'bare and bare in turn (A/A)',
      atMost: 1.03,
    },
  ],
}
