/** What a rate limit costs a route that has nothing else to do: the rows of `limited-route.ts`. */
import type { ServerRow, ServerSpec, ServerVariant } from '../harness/row.ts'
import { redisWorld } from './redis-world.ts'

const path = '/quote'
const state = 'undisturbed'

/** One variant with a server of its own. */
interface Contender {
  readonly name: string
  /** Limiter, store, clients and limit: the arguments of `limited-route.ts`. */
  readonly args: readonly [limiter: string, store: string, clients: string, limit: 'open' | 'closed']
}

function contend(
  contenders: readonly Contender[],
  hasWorld: boolean,
): Pick<ServerRow, 'servers' | 'variants'> {
  const servers: Record<string, ServerSpec> = {}
  const variants: ServerVariant[] = []
  for (const { name, args } of contenders) {
    servers[name] = { script: 'src/servers/limited-route.ts', args, readyPath: path }
    variants.push({
      name,
      server: name,
      path,
      ...(args[3] === 'closed' ? { expectStatus: 429 } : {}),
      ...(hasWorld ? { state } : {}),
      ...(name === 'bare' ? {} : { against: 'bare' }),
    })
  }
  return { servers, variants }
}

const bare: Contender = { name: 'bare', args: ['bare', 'memory', 'one', 'open'] }
const control: Contender = { ...bare, name: 'bare (A/A control)' }

/** Every request is let pass, and is one of a client that was never seen: nothing can be known beforehand. */
export const limitRedis: ServerRow = {
  kind: 'server',
  name: 'limit-redis',
  title: 'requests of ever new clients that are let pass, counted in Redis, 50 connections',
  connections: 50,
  prepare: redisWorld,
  ...contend(
    [
      { name: 'ours', args: ['ours', 'redis', 'new', 'open'] },
      { name: '@fastify/rate-limit', args: ['fastify', 'redis', 'new', 'open'] },
      { name: '@fastify/rate-limit, pipelining', args: ['fastify', 'auto-pipelining', 'new', 'open'] },
      { name: 'rate-limiter-flexible', args: ['flexible', 'redis', 'new', 'open'] },
      { name: 'rate-limiter-flexible, pipelining', args: ['flexible', 'auto-pipelining', 'new', 'open'] },
      { name: '@fastify/rate-limit, our store', args: ['our-store', 'redis', 'new', 'open'] },
      bare,
      control,
    ],
    true,
  ),
  goals: [
    {
      claim: 'A limit in Redis lets far more requests through than `@fastify/rate-limit` with ioredis',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: '@fastify/rate-limit',
      atLeast: 1.3,
    },
    {
      claim: 'A limit in Redis lets far more requests through than rate-limiter-flexible',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'rate-limiter-flexible',
      atLeast: 1.3,
    },
  ],
}

/** Every request is let pass, and all are of one busy client. */
export const limitHot: ServerRow = {
  kind: 'server',
  name: 'limit-hot',
  title: 'requests of one busy client that are let pass, 50 connections',
  connections: 50,
  // Leases end in the pauses between slices. How they begin again, with about 250 requests that ask Redis, is part of
  // each slice, and no large one: a client that is busy goes on for more than half a second.
  sliceFactor: 4,
  prepare: redisWorld,
  ...contend(
    [
      { name: 'ours, leases', args: ['ours', 'lease', 'one', 'open'] },
      bare,
      { name: '@fastify/rate-limit, memory', args: ['fastify', 'memory', 'one', 'open'] },
      { name: 'rate-limiter-flexible, memory', args: ['flexible', 'memory', 'one', 'open'] },
      { name: '@fastify/rate-limit, Redis', args: ['fastify', 'redis', 'one', 'open'] },
      control,
    ],
    true,
  ),
  goals: [
    {
      claim: 'A busy client of a limit in Redis with leases is let pass almost as quickly as without a limit',
      figure: 'requestsPerSecond',
      of: 'ours, leases',
      against: 'bare',
      atLeast: 0.9,
    },
  ],
}

/** Every request is refused: what an attack costs. */
export const limitDenied: ServerRow = {
  kind: 'server',
  name: 'limit-denied',
  title: 'requests of one client that are refused, 50 connections',
  connections: 50,
  prepare: redisWorld,
  ...contend(
    [
      { name: 'ours, Redis', args: ['ours', 'redis', 'one', 'closed'] },
      { name: 'ours, memory', args: ['ours', 'memory', 'one', 'closed'] },
      bare,
      { name: '@fastify/rate-limit, Redis', args: ['fastify', 'redis', 'one', 'closed'] },
      { name: '@fastify/rate-limit, memory', args: ['fastify', 'memory', 'one', 'closed'] },
      { name: 'rate-limiter-flexible, Redis', args: ['flexible', 'redis', 'one', 'closed'] },
      { name: 'rate-limiter-flexible, memory', args: ['flexible', 'memory', 'one', 'closed'] },
      { name: 'express-rate-limit, memory', args: ['express', 'memory', 'one', 'closed'] },
      control,
    ],
    true,
  ),
  goals: [
    {
      claim: 'A refusal of a limit in Redis costs little more than the answer of a bare route',
      figure: 'requestsPerSecond',
      of: 'ours, Redis',
      against: 'bare',
      atLeast: 0.9,
    },
    {
      claim: 'A refusal of a limit in memory costs little more than the answer of a bare route',
      figure: 'requestsPerSecond',
      of: 'ours, memory',
      against: 'bare',
      atLeast: 0.9,
    },
  ],
}

/** Every request is let pass, by a process that counts for itself. */
export const limitMemory: ServerRow = {
  kind: 'server',
  name: 'limit-memory',
  title: 'requests of a thousand clients that are let pass, counted in memory, 50 connections',
  connections: 50,
  ...contend(
    [
      { name: 'ours', args: ['ours', 'memory', 'some', 'open'] },
      { name: '@fastify/rate-limit', args: ['fastify', 'memory', 'some', 'open'] },
      { name: 'ours, all headers', args: ['ours', 'all-headers', 'some', 'open'] },
      { name: 'rate-limiter-flexible', args: ['flexible', 'memory', 'some', 'open'] },
      { name: 'express-rate-limit', args: ['express', 'memory', 'some', 'open'] },
      { name: '@fastify/rate-limit, our store', args: ['our-store', 'memory', 'some', 'open'] },
      bare,
      control,
    ],
    false,
  ),
  goals: [
    {
      claim: 'A limit in memory lets as many requests through as that of `@fastify/rate-limit`',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: '@fastify/rate-limit',
      atLeast: 1,
    },
  ],
}
