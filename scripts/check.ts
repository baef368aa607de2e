/**
 * `pnpm check` is everything that must hold before a change is merged: one line per step with its duration, what a
 * failed step said, and at the end the test counts. It goes on after a failure, so that one run shows all of them.
 *
 *   --skip-tests   leaves out the tests and their coverage
 *   --skip-pack    leaves out the packed tarballs, which need the registry
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runSteps, type Step, stepsReport } from './checking/steps.ts'

const { values: flags } = parseArgs({
  options: {
    'skip-tests': { type: 'boolean', default: false },
    'skip-pack': { type: 'boolean', default: false },
  },
})

const node = (script: string, ...args: string[]) => [process.execPath, join('scripts', script), ...args]
const steps: Step[] = [
  { name: 'lint', command: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'types', command: ['tsc', '-b'] },
  { name: 'tidy', command: node('tidy.ts') },
  { name: 'docs', command: node('docs.ts', '--check') },
]
if (!flags['skip-tests']) steps.push({ name: 'tests', command: node('test.ts', '--coverage') })
if (!flags['skip-pack']) steps.push({ name: 'packed tarballs', command: node('verify-pack.ts') })

const results = await runSteps(steps, join(import.meta.dirname, '..'), (line) => console.log(line))
console.log(stepsReport(results))
process.exitCode = results.every((result) => result.ok) ? 0 : 1
