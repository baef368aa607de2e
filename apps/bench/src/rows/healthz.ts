import type { ServerRow } from '../harness/row.ts'
import { postgresWorld } from './postgres-world.ts'

const path = '/healthz'

/** The liveness probe, beside a constant route, and while its PostgreSQL hangs. */
export const healthz: ServerRow = {
  kind: 'server',
  name: 'healthz',
  title: 'GET /healthz, 50 connections; its PostgreSQL check undisturbed and frozen (SIGSTOP)',
  connections: 50,
  prepare: postgresWorld,
  servers: {
    ours: { script: 'src/servers/healthz-ours.ts', readyPath: path },
    underPressure: { script: 'src/servers/healthz-under-pressure.ts', readyPath: path },
    bare: { script: 'src/servers/healthz-bare.ts', args: ['short'], readyPath: path },
    bareAgain: { script: 'src/servers/healthz-bare.ts', args: ['short'], readyPath: path },
    bareNoStore: { script: 'src/servers/healthz-bare.ts', args: ['no-store'], readyPath: path },
  },
  variants: [
    { name: 'ours', server: 'ours', path, state: 'undisturbed', against: 'bare' },
    { name: 'bare', server: 'bare', path, state: 'undisturbed' },
    { name: 'bare (A/A control)', server: 'bareAgain', path, state: 'undisturbed', against: 'bare' },
    { name: 'bare, no-store', server: 'bareNoStore', path, state: 'undisturbed', against: 'bare' },
    { name: '@fastify/under-pressure', server: 'underPressure', path, state: 'undisturbed', against: 'bare' },
    { name: 'ours, PostgreSQL frozen', server: 'ours', path, state: 'frozen', against: 'ours' },
  ],
  goals: [
    {
      claim: '`/healthz` answers as many requests as a constant bare route',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'bare',
      atLeast: 0.95,
    },
    {
      claim: '`/healthz` costs no more CPU than a constant bare route',
      figure: 'cpuMicroseconds',
      of: 'ours',
      against: 'bare',
      atMost: 1.05,
    },
    {
      claim: 'The p99 of `/healthz` does not change while PostgreSQL is frozen',
      figure: 'p99Ms',
      of: 'ours, PostgreSQL frozen',
      against: 'ours',
      atMost: 1.15,
    },
  ],
}
