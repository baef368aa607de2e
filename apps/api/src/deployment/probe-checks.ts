// Whether the probes of a service that runs answer.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import { reasonOf } from '../reason.ts'
import { failed } from './rules.ts'

/** Asks for a path; answers the status. */
export type AskPath = (path: string, signal: AbortSignal) => Promise<number>

const PROBES = ['/healthz', '/livez', '/readyz', '/startupz'] as const

/** What is asked of the probes. */
export function probeChecks(ask: AskPath): DeploymentCheck[] {
  return [
    {
      name: 'probes',
      run: ({ signal }) => Promise.all(PROBES.map((path) => probeFinding(path, ask, signal))),
      hint: 'Its event loop stands still, or nobody listens there: look at its log and its processor.',
    },
  ]
}

async function probeFinding(path: string, ask: AskPath, signal: AbortSignal): Promise<Finding> {
  let status: number
  try {
    status = await ask(path, signal)
  } catch (error) {
    return failed(
      'probe-fails',
      `${path} does not answer: ${reasonOf((error instanceof Error && error.cause) || error)}`,
      'Does the service run, and is this its address?',
    )
  }
  const data = { status }
  if (status === 200) return { verdict: 'pass', message: `${path} answers 200`, data }
  const hint =
    status === 503
      ? `It is starting, leaving, or a critical check fails: ask for ${path}?verbose with METRICS_TOKEN, which one.`
      : 'Is it this service, and its port rather than that of something else?'
  return failed('probe-fails', `${path} answers ${status}`, hint, data)
}
