import type { FloodRow, FloodVariant } from '../harness/row.ts'
import { redisWorld } from './redis-world.ts'

const script = 'src/servers/flooded-route.ts'
const readyPath = '/ready'

/** A variant with the flood, beside the same without it. */
function pair(name: string, server: string): readonly [FloodVariant, FloodVariant] {
  return [
    { name, server, flooded: false },
    { name: `${name}, flooded`, server, flooded: true, against: name },
  ]
}

/**
 * What other tenants notice of one that asks for a hundred times its limit.
 *
 * The flood comes at a fixed rate, well below what any of the contenders could answer: at saturation everybody is slow,
 * and the fastest server gets the largest flood. It costs the server CPU even so, whoever refuses it, and its generator
 * shares a core with that of the steady requests. What this alone does is `refused by path`, which decides nothing.
 */
export const limitFlood: FloodRow = {
  kind: 'flood',
  name: 'limit-flood',
  title:
    '1,000 requests/s of one tenant, 5 ms of work in one of 20 places, beside 5,000/s of another that may have 50/s, 200 connections',
  prepare: redisWorld,
  steady: { load: { perSecond: 1_000 }, path: '/acme/quote' },
  // A client has only so many connections. Without a limit, they are what bounds the queue for the places.
  flood: { load: { perSecond: 5_000, connections: 200 }, path: '/globex/quote' },
  servers: {
    ours: { script, args: ['ours'], readyPath },
    path: { script, args: ['path'], readyPath },
    fastify: { script, args: ['fastify'], readyPath },
    bare: { script, args: ['none'], readyPath },
  },
  variants: [
    ...pair('ours', 'ours'),
    { name: 'ours (A/A control)', server: 'ours', flooded: false, against: 'ours' },
    ...pair('refused by path', 'path'),
    ...pair('@fastify/rate-limit', 'fastify'),
    ...pair('bare', 'bare'),
  ],
  goals: [
    {
      claim: 'The p99 of other tenants stays within 10 % while one sends a hundred times what it may',
      figure: 'steadyP99Ms',
      of: 'ours, flooded',
      against: 'ours',
      control: 'ours (A/A control)',
      atMost: 1.1,
    },
    {
      claim: 'The flood comes as it is meant to: nine tenths of 5,000 a second are answered',
      figure: 'floodPerSecond',
      of: 'ours, flooded',
      atLeast: 4500,
    },
    {
      claim: 'Redis is asked for at most 2 of 100 requests of the flood',
      figure: 'redisCallsPercent',
      of: 'ours, flooded',
      atMost: 2,
    },
  ],
}
