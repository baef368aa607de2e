// Whether the probes of a service that runs answer.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'

/** Asks for a path; answers the status. */
export type AskPath = (path: string, signal: AbortSignal) => Promise<number>

const PROBES = ['/healthz', '/livez', '/readyz', '/startupz'] as const

/** What is asked of the probes. */
export function probeChecks(ask: AskPath): DeploymentCheck[] {
  return [
    {
      name: 'probes',
      run: ({ signal }) => Promise.all(PROBES.map((path) => probeFinding(path, ask, signal))),
    },
  ]
}

async function probeFinding(path: string, ask: AskPath, signal: AbortSignal): Promise<Finding> {
  const status = await ask(path, signal)
  const data = { status }
  if (status === 200) return { verdict: 'pass', message: `${path} answers 200`, data }
  return {
    verdict: 'fail',
    message: `${path} answers ${status}`,
    hint:
      status === 503
        ? `Ask for ${path}?verbose, with METRICS_TOKEN, which check fails.`
        : 'Is it this service?',
    data,
  }
}
