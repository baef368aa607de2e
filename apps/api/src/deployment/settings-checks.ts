// Whether settings can be used, and go together.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Deployment } from './deployment-checks.ts'
import { failed } from './rules.ts'

/** What is asked of settings. */
export function settingsChecks(deployment: Deployment): DeploymentCheck[] {
  return [{ name: 'settings', run: () => settingsFindings(deployment) }]
}

function settingsFindings({ config, warnings }: Deployment): Finding[] {
  const { environment, apiProcesses, apiWorkers } = config
  const findings: Finding[] = [
    { verdict: 'pass', message: 'all settings can be used', data: { environment } },
    ...warnings.map((message): Finding => ({ verdict: 'warn', rule: 'setting-doubtful', message })),
  ]
  if (apiProcesses !== undefined && apiProcesses < apiWorkers) {
    findings.push(
      failed(
        'processes-uncounted',
        `API_PROCESSES is ${apiProcesses}, and this machine alone has ${apiWorkers} (API_WORKERS): connections and limits are counted for too few`,
        `Set API_PROCESSES to the processes of all machines together, ${apiWorkers} at least, or leave it unset where there is one machine.`,
        { processes: apiProcesses, workers: apiWorkers },
      ),
    )
  }
  return findings
}
