// Mistakes that need nobody to ask: all that a start looks at, rule by rule in the files of their checks.

import type { TestCertificate } from '@holdfast/test-kit'
import { certificateFileMistakes } from './seeded-certificates.ts'
import { machineMistakes } from './seeded-machine.ts'
import { maintenanceMistakes } from './seeded-maintenance.ts'
import { type Mistake, startCases } from './seeded-mistakes.ts'
import { resourceMistakes } from './seeded-resources.ts'
import { secretMistakes } from './seeded-secrets.ts'
import { securityMistakes } from './seeded-security.ts'
import { settingsMistakes } from './seeded-settings.ts'
import { shutdownMistakes } from './seeded-shutdown.ts'

/** All of them; the directory is one to write to, the certificate one that is good for a day. */
export function startMistakes(directory: string, certificate: TestCertificate): readonly Mistake[] {
  const cases = startCases(directory)
  return [
    ...settingsMistakes(cases),
    ...secretMistakes(cases),
    ...securityMistakes(cases),
    ...maintenanceMistakes(cases),
    ...shutdownMistakes(cases),
    ...machineMistakes(cases),
    ...resourceMistakes(cases),
    ...certificateFileMistakes(cases, certificate),
  ]
}
