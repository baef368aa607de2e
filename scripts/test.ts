/**
 * `pnpm test [package|folder|file...]` runs the tests, each file in a Node process of its own.
 *
 *   --faults     the long fault suite (`*.faults.ts`) instead of `*.test.ts`
 *   --coverage   reports coverage and demands its share of every package, or of the selected ones
 *   --built      runs tests against the packages' `dist/` instead of `src/` (build first: `pnpm exec tsc -b`); without
 *                a selection those of every published package
 *   --second-try runs the files that failed once more, one at a time, when they are at most two; says so in the end
 *   --jobs=<n>   files at a time (default: one more than there are cores, because files wait for servers a quarter of
 *                their time, at most 5; 1 with --faults, whose limits are about time)
 *   --timeout=<seconds>  per file (default 300; 900 with --faults)
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  coverageByPackage,
  coverageGate,
  coveredFolderOf,
  coveredFolders,
  writeCoverageReport,
} from './testing/coverage.ts'
import { fileReport, summary, totalsOf } from './testing/report.ts'
import { canaryVariable, type FileResult, runFile } from './testing/run-file.ts'
import { runFiles } from './testing/run-files.ts'
import { withSecondTries } from './testing/second-try.ts'
import { selectTestFiles } from './testing/test-files.ts'
import { publishedPackages, readWorkspace } from './tidy/workspace.ts'

const root = join(import.meta.dirname, '..')
const rawCoverage = join(root, 'coverage', 'raw')
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    faults: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
    built: { type: 'boolean', default: false },
    'second-try': { type: 'boolean', default: false },
    jobs: { type: 'string' },
    timeout: { type: 'string' },
  },
})

process.chdir(root)
// Every file runs in a process group of its own; leaving by `exit` ends them, a signal's default would not.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}

async function main(): Promise<number> {
  const all = flags.built ? publishedPackages(readWorkspace(root)).map(({ name }) => name) : []
  const selections = positionals.length === 0 ? all : positionals
  const files = selectTestFiles(root, flags.faults ? 'faults' : 'test', selections)
  const covering = flags.coverage ? coveredBy(files) : []
  const jobs = positive('--jobs', flags.jobs) ?? (flags.faults ? 1 : Math.min(5, availableParallelism() + 1))
  const timeoutMs = (positive('--timeout', flags.timeout) ?? (flags.faults ? 900 : 300)) * 1000
  if (files.length === 0) throw new Error('there are no such tests')
  // Nothing but the long tests needs the browser, and it is large.
  provision(flags.faults ? [] : ['redis', 'pgbouncer', 'haproxy', 'nginx', 'prometheus', 'postgresql'])
  if (flags.coverage) rmSync(rawCoverage, { recursive: true, force: true })
  const compiled = compileCache()
  const options = {
    timeoutMs,
    nodeArguments: [
      '--conditions=@holdfast/source',
      ...(flags.built ? ['--import', new URL('./testing/use-built.ts', import.meta.url).href] : []),
    ],
    environment: {
      NODE_COMPILE_CACHE: compiled,
      // Another one for each run: what is found was written now.
      [canaryVariable]: `canary-${randomBytes(12).toString('hex')}`,
      ...(flags.coverage && { NODE_V8_COVERAGE: rawCoverage }),
    },
  }
  const onResult = (result: FileResult) => console.log(fileReport(result))
  let results = await runFiles(files, { ...options, jobs, onResult })
  if (flags['second-try'])
    results = await withSecondTries(results, (file) => runFile(file, options), onResult)
  const covered = flags.coverage ? reportCoverage(covering) : true
  console.log(summary(results))
  return results.every((result) => result.ok) && totalsOf(results).passed > 0 && covered ? 0 : 1
}

function positive(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (Number.isInteger(number) && number > 0) return number
  throw new Error(`${flag} must be a whole number above 0, received "${value}"`)
}

/**
 * Where the processes of this run find what others of it have compiled already: without it every file would take the
 * types out of the same modules again, a third of the time of a short one.
 */
function compileCache(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-compiled-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Servers and browser come from the machine, all when none is named. Without them their tests fail and say so. */
function provision(names: readonly string[]): void {
  const script = join('scripts', 'provision.ts')
  const done = spawnSync(process.execPath, [script, ...names], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (done.status !== 0) console.error('provision could not do everything; what needs it will fail\n')
}

/** The folders whose coverage is demanded: all, or those whose tests were selected. */
function coveredBy(files: readonly string[]): readonly string[] {
  if (positionals.length === 0) return coveredFolders
  const folders = new Set(files.flatMap((file) => coveredFolderOf(file) ?? []))
  if (folders.size > 0) return [...folders]
  throw new Error(
    `--coverage is about ${coveredFolders.join(' and ')}, and none of ${positionals.join(', ')} is there`,
  )
}

function reportCoverage(folders: readonly string[]): boolean {
  const gate = coverageGate(coverageByPackage(root, writeCoverageReport(root, rawCoverage, folders)))
  console.log(`\n${gate.table}`)
  return gate.ok
}
