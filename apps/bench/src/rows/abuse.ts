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
    oursInTurn: { script, args: ['ours', 'bare'], readyPath: path },
    oursRedisInTurn: { script, args: ['ours-redis', 'bare'], readyPath: path },
    addressInTurn: { script, args: ['address', 'bare'], readyPath: path },
    bareInTurn: { script, args: ['bare', 'bare'], readyPath: path },
  },
  variants: [
    { name: 'ours', server: 'ours', path, state, against: 'bare' },
    { name: 'bare', server: 'bare', path, state },
    { name: 'ours, blocks in Redis', server: 'oursRedis', path, state, against: 'bare' },
    { name: 'bare (A/A control)', server: 'bareAgain', path, state, against: 'bare' },
    // Each two applications of one process in turn: three of a hundred are less than two processes differ by themselves.
    { name: 'ours and bare in turn', server: 'oursInTurn', path, state, hasFigures: true },
    { name: 'ours, Redis, and bare in turn', server: 'oursRedisInTurn', path, state, hasFigures: true },
    { name: 'address only and bare in turn', server: 'addressInTurn', path, state, hasFigures: true },
    { name: 'bare and bare in turn (A/A)', server: 'bareInTurn', path, state, hasFigures: true },
  ],
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
