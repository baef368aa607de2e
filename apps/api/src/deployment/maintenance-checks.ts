// What somebody has broken the glass for: maintenance of this instance alone, by a setting or by a file; and who else
// could.

import { existsSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { Deployment } from './deployment-checks.ts'
import { passed, warned } from './rules.ts'

const FOR_GROUP = 0o020
const FOR_OTHERS = 0o002
const PERMISSIONS = 0o7777

/** What is asked of it. */
export function maintenanceChecks({ config, maintenanceFile }: Deployment): DeploymentCheck[] {
  const run = () => {
    const findings = [...forceFindings(config.maintenanceForce), ...fileFindings(maintenanceFile)]
    return passed(findings, 'operators say what is closed')
  }
  return [{ name: 'maintenance', run }]
}

function forceFindings(force: 'on' | 'off' | undefined): Finding[] {
  if (force === undefined) return []
  const message =
    force === 'on'
      ? 'MAINTENANCE_FORCE is on: this instance is in maintenance, whatever operators say'
      : 'MAINTENANCE_FORCE is off: this instance stays open, whatever operators close'
  return [
    warned(
      'maintenance-forced',
      message,
      'Unset MAINTENANCE_FORCE when the emergency is over, and restart the instance.',
    ),
  ]
}

function fileFindings(file: string | undefined): Finding[] {
  if (file === undefined) return []
  const folder = dirname(file)
  if (!existsSync(folder)) {
    const message = `MAINTENANCE_FILE is ${file}, and there is no ${folder}: nobody can put it there in an emergency`
    return [warned('maintenance-file-unusable', message, `mkdir -p ${folder}, or correct MAINTENANCE_FILE.`)]
  }
  const findings: Finding[] = []
  const found = statSync(file, { throwIfNoEntry: false })
  if (found?.isFile() === false) {
    const message = `MAINTENANCE_FILE is ${file}, which is no file: what it should say changes nothing`
    findings.push(warned('maintenance-file-unusable', message, 'Name a file that may or may not be there.'))
  } else if (found !== undefined) {
    findings.push(
      warned(
        'maintenance-forced',
        `${file} is there (MAINTENANCE_FILE): this instance does what it says, whatever operators say`,
        `rm ${file} when the emergency is over; the service need not be restarted.`,
      ),
      ...openFindings(file, 'MAINTENANCE_FILE', found, `chmod go-w ${file}`),
    )
  }
  const elsewhere =
    'Set MAINTENANCE_FILE to a file in a folder that nobody but the service and its operators writes to.'
  return [...findings, ...openFindings(folder, 'the folder of MAINTENANCE_FILE', statSync(folder), elsewhere)]
}

/** Whoever writes it closes the service, or opens it in the middle of a migration. */
function openFindings(path: string, what: string, { mode, gid }: Stats, hint: string): Finding[] {
  const writers = [
    ...((mode & FOR_OTHERS) === 0 ? [] : ['everybody on the machine']),
    ...((mode & FOR_GROUP) === 0 ? [] : [`its group (${gid})`]),
  ]
  if (writers.length === 0) return []
  const shown = (mode & PERMISSIONS).toString(8).padStart(4, '0')
  return [
    warned(
      'maintenance-file-open',
      `${writers.join(' and ')} may write to ${path} (${what}, mode ${shown}), and so close or open this instance`,
      hint,
      { mode: shown },
    ),
  ]
}
