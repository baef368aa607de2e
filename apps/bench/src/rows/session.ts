import type { ServerRow, ServerSpec, ServerVariant } from '../harness/row.ts'
import { redisWorld } from './redis-world.ts'

const path = '/me'

/** A server of its own for each: library and clients are the arguments of `session-route.ts`. */
const contenders: readonly (readonly [name: string, library: string, clients: string, against?: string])[] = [
  ['ours', 'ours', 'users', 'bare'],
  ['@fastify/session', 'fastify', 'users', 'bare'],
  ['@fastify/session, read-only', 'fastify-read-only', 'users', 'bare'],
  ['bare', 'bare', 'users'],
  ['bare (A/A control)', 'bare', 'users', 'bare'],
  ['ours, nobody', 'ours', 'nobody', 'bare, nobody'],
  ['@fastify/session, nobody', 'fastify', 'nobody', 'bare, nobody'],
  ['@fastify/session, read-only, nobody', 'fastify-read-only', 'nobody', 'bare, nobody'],
  ['bare, nobody', 'bare', 'nobody'],
]

/** What it costs a route to know who is signed in, and what those pay who are nobody. */
export const session: ServerRow = {
  kind: 'server',
  name: 'session',
  title: 'requests of a thousand users, and of nobody, to a route that says who is signed in, 50 connections',
  connections: 50,
  prepare: redisWorld,
  servers: Object.fromEntries(
    contenders.map(([name, library, clients]): [string, ServerSpec] => [
      name,
      { script: 'src/servers/session-route.ts', args: [library, clients], readyPath: path },
    ]),
  ),
  variants: contenders.map(
    ([name, , , against]): ServerVariant => ({
      name,
      server: name,
      path,
      state: 'undisturbed',
      ...(against === undefined ? {} : { against }),
    }),
  ),
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
