// Mistakes of the machine: its Node, and the packages.

import { dependencyFindings } from '../src/deployment/machine-checks.ts'
import type { Mistake, StartCases } from './seeded-mistakes.ts'

/** All of them. */
export function machineMistakes({ mistake }: StartCases): readonly Mistake[] {
  const manifest = { version: '1.0.0', dependencies: { pg: '^8.0.0' } }
  return [
    mistake(
      'node-old',
      'fail',
      'an old Node',
      { machine: { nodeVersion: '24.6.9' } },
      { machine: { nodeVersion: '24.7.0' } },
      /this is Node 24\.6\.9, and the service wants >=24\.7/,
    ),
    {
      rule: 'package-missing',
      verdict: 'fail',
      title: 'a package that is missing',
      found: /pg is not installed -> Install from the lockfile/,
      broken: async () => dependencyFindings(manifest, () => undefined),
      sound: async () => dependencyFindings(manifest, () => '8.1.0'),
    },
  ]
}
