import type { ServerRow } from '../harness/row.ts'
import { BARE_TWICE, contend } from './contenders.ts'

const script = 'src/servers/logged-route.ts'
const path = '/'

/** What it costs to say of every request that it was there. */
export const logging: ServerRow = {
  kind: 'server',
  name: 'logging',
  title: 'GET of a small JSON answer with a log of every request, 50 connections',
  connections: 50,
  ...contend({ script, path }, [
    { name: 'ours, one line', args: ['ours'], against: 'bare' },
    { name: 'pino, two lines', args: ['pino'], against: 'bare' },
    { name: 'ours, to a file', args: ['ours-file'], against: 'pino, to a file' },
    { name: 'pino, to a file', args: ['pino-file'], against: 'bare' },
    ...BARE_TWICE,
  ]),
  goals: [
    {
      claim:
        'A service that logs every request answers at least three quarters of what one without a log does',
      figure: 'requestsPerSecond',
      of: 'ours, one line',
      against: 'bare',
      atLeast: 0.75,
    },
  ],
}
