import type { ServerRow } from '../harness/row.ts'

const script = 'src/servers/logged-route.ts'
const path = '/'
const server = (kind: string) => ({ script, args: [kind], readyPath: path })

/** What it costs to say of every request that it was there. */
export const logging: ServerRow = {
  kind: 'server',
  name: 'logging',
  title: 'GET of a small JSON answer with a log of every request, 50 connections',
  connections: 50,
  servers: {
    ours: server('ours'),
    pino: server('pino'),
    oursFile: server('ours-file'),
    pinoFile: server('pino-file'),
    bare: server('bare'),
    bareAgain: server('bare'),
  },
  variants: [
    { name: 'ours, one line', server: 'ours', path, against: 'bare' },
    { name: 'pino, two lines', server: 'pino', path, against: 'bare' },
    { name: 'ours, to a file', server: 'oursFile', path, against: 'pino, to a file' },
    { name: 'pino, to a file', server: 'pinoFile', path, against: 'bare' },
    { name: 'bare', server: 'bare', path },
    { name: 'bare (A/A control)', server: 'bareAgain', path, against: 'bare' },
  ],
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
