import type { ServerRow } from '../harness/row.ts'
import { postgresWorld } from './postgres-world.ts'

const path = '/acme/api/public/load-theme'

/** The whole service, as `pnpm start` runs it, while its database is well, hangs, or is gone. */
export const api: ServerRow = {
  kind: 'server',
  name: 'api',
  title: "GET of acme's theme from apps/api, 200 connections, over its own PostgreSQL",
  connections: 200,
  prepare: postgresWorld,
  servers: {
    api: {
      script: '../api/src/main.ts',
      readyPath: path,
      environment: (port) => ({ API_HOST: '127.0.0.1', API_PORT: String(port), LOG_LEVEL: 'warn' }),
    },
  },
  variants: [
    { name: 'undisturbed', server: 'api', path, state: 'undisturbed' },
    { name: 'PostgreSQL frozen', server: 'api', path, state: 'frozen', against: 'undisturbed' },
    { name: 'PostgreSQL killed', server: 'api', path, state: 'killed', against: 'undisturbed' },
  ],
  goals: [
    {
      claim: "The p99 of acme's theme stays within twice the undisturbed one while PostgreSQL is frozen",
      figure: 'p99Ms',
      of: 'PostgreSQL frozen',
      against: 'undisturbed',
      atMost: 2,
    },
    {
      claim: "The p99 of acme's theme stays within twice the undisturbed one while PostgreSQL is dead",
      figure: 'p99Ms',
      of: 'PostgreSQL killed',
      against: 'undisturbed',
      atMost: 2,
    },
  ],
}
