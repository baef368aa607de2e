import type { ServerRow, TrialOutcome, TrialRow } from '../harness/row.ts'
import { quantile } from '../harness/trial-figures.ts'
import { redisWorld } from './redis-world.ts'

const script = 'src/servers/stack-route.ts'
const path = '/me'

/** Everything that surrounds a route of apps/api, against the same of peers, on a route that says who is signed in. */
export const stack: ServerRow = {
  kind: 'server',
  name: 'stack',
  title:
    'requests of a thousand users to a route behind headers, metrics, logs, limit, session, breaker and maintenance, 50 connections',
  connections: 50,
  prepare: redisWorld,
  servers: {
    ours: { script, args: ['ours'], readyPath: '/ready' },
    peers: { script, args: ['peers'], readyPath: '/ready' },
    readOnly: { script, args: ['peers-read-only'], readyPath: '/ready' },
    bare: { script, args: ['bare'], readyPath: '/ready' },
    bareAgain: { script, args: ['bare'], readyPath: '/ready' },
  },
  variants: [
    { name: 'ours', server: 'ours', path, state: 'undisturbed', against: 'bare' },
    { name: 'peers', server: 'peers', path, state: 'undisturbed', against: 'bare' },
    {
      name: 'peers, read-only sessions',
      server: 'readOnly',
      path,
      state: 'undisturbed',
      against: 'bare',
    },
    { name: 'bare', server: 'bare', path, state: 'undisturbed' },
    { name: 'bare (A/A control)', server: 'bareAgain', path, state: 'undisturbed', against: 'bare' },
  ],
  goals: [
    {
      claim: 'A service with everything around it answers two and a half times what it does with peers',
      figure: 'requestsPerSecond',
      of: 'ours',
      against: 'peers',
      atLeast: 2.5,
    },
    {
      // Instructions would be steadier; a virtual machine does not count them.
      claim: 'With everything around it, a request costs at most five times the user time of a bare route',
      figure: 'userMicroseconds',
      of: 'ours',
      against: 'bare',
      atMost: 5,
    },
  ],
}

const PER_SECOND = 2000
const variant = (name: string, argument: string) => ({
  name,
  script,
  args: [argument],
  load: { perSecond: PER_SECOND },
})

/** The same services under a load that all of them can bear. */
export const stackSteady: TrialRow = {
  kind: 'trial',
  name: 'stack-steady',
  title: `8 s of ${PER_SECOND} requests/s to that route`,
  durationMs: 8_000,
  mix: [{ name: 'me', method: 'GET', path, share: 1 }],
  prepare: redisWorld,
  events: [],
  figures: ({ requests }: TrialOutcome) => ({
    steadyP50Ms: quantile(
      requests.map(({ tookMs }) => tookMs),
      0.5,
    ),
    steadyP99Ms: quantile(
      requests.map(({ tookMs }) => tookMs),
      0.99,
    ),
    unansweredPercent: (100 * requests.filter(({ status }) => status !== 200).length) / requests.length,
  }),
  variants: [
    variant('ours', 'ours'),
    variant('peers', 'peers'),
    variant('peers, read-only sessions', 'peers-read-only'),
    variant('bare', 'bare'),
  ],
  goals: [
    {
      claim: 'At 2,000 requests a second the p99 of a service with everything around it is at most 10 ms',
      figure: 'steadyP99Ms',
      of: 'ours',
      atMost: 10,
    },
    {
      claim: 'And all of them are answered',
      figure: 'unansweredPercent',
      of: 'ours',
      atMost: 0,
    },
  ],
}
