import type { ServerRow } from '../harness/row.ts'
import { contend } from './contenders.ts'
import { redisWorld } from './redis-world.ts'

/** What it costs a route to know who is signed in, and what those pay who are nobody. */
export const session: ServerRow = {
  kind: 'server',
  name: 'session',
  title: 'requests of a thousand users, and of nobody, to a route that says who is signed in, 50 connections',
  connections: 50,
  prepare: redisWorld,
  ...contend({ script: 'src/servers/session-route.ts', path: '/me', state: 'undisturbed' }, [
    { name: 'ours', args: ['ours', 'users'], against: 'bare' },
    { name: '@fastify/session', args: ['fastify', 'users'], against: 'bare' },
    { name: '@fastify/session, read-only', args: ['fastify-read-only', 'users'], against: 'bare' },
    { name: 'bare', args: ['bare', 'users'] },
    { name: 'bare (A/A control)', args: ['bare', 'users'], against: 'bare' },
    { name: 'ours, nobody', args: ['ours', 'nobody'], against: 'bare, nobody' },
    { name: '@fastify/session, nobody', args: ['fastify', 'nobody'], against: 'bare, nobody' },
    {
      name: '@fastify/session, read-only, nobody',
      args: ['fastify-read-only', 'nobody'],
      against: 'bare, nobody',
    },
    { name: 'bare, nobody', args: ['bare', 'nobody'] },
  ]),
  goals: [
    {
      claim: 'A route that knows who is signed in answers twice as many requests as with `@fastify/session`',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: '@fastify/session',
      atLeast: 2,
    },
    {
      claim: 'It answers far more than with `@fastify/session` where that only reads',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: '@fastify/session, read-only',
      atLeast: 1.4,
    },
    {
      claim: 'Who is nobody hardly pays for the sessions of others',
      figure: 'requestsPerSecond',
      of: 'ours, nobody',
      against: 'bare, nobody',
      atLeast: 0.97,
    },
  ],
}
