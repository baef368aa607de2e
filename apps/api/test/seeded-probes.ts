// Probes that do not answer as they should.

import { probeChecks } from '../src/deployment/probe-checks.ts'
import { findingsOf, type Mistake } from './seeded-mistakes.ts'

/** All of them. */
export const probeMistakes: readonly Mistake[] = [
  {
    rule: 'probe-fails',
    verdict: 'fail',
    title: 'a probe of something else',
    found: /\/startupz answers 404 -> Is it this service/,
    broken: () => findingsOf(probeChecks(async (path) => (path === '/startupz' ? 404 : 200))),
    sound: () => findingsOf(probeChecks(async () => 200)),
  },
  {
    rule: 'probe-fails',
    verdict: 'fail',
    title: 'a service that is not ready',
    found: /\/readyz answers 503 -> .*\/readyz\?verbose with METRICS_TOKEN/,
    broken: () => findingsOf(probeChecks(async (path) => (path === '/readyz' ? 503 : 200))),
    sound: () => findingsOf(probeChecks(async () => 200)),
  },
]
