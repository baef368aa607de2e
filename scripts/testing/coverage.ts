import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { join, relative, sep } from 'node:path'
import { parseSync } from 'oxc-parser'

/** Every package under `packages/` must reach this share of its lines, and of its branches. */
export const requiredPercent = 95

export interface PackageCoverage {
  readonly name: string
  readonly lines: Share
  readonly branches: Share
}

export interface Share {
  readonly covered: number
  readonly total: number
}

/** c8's `json-summary`: one entry per file, by absolute path, and a `total`. */
export type CoverageSummary = Readonly<Record<string, { readonly lines: Share; readonly branches: Share }>>

/**
 * Turns what V8 recorded into `coverage/` (text, json-summary, lcov). Files that no test loaded count with
 * nothing covered (`--all`); files that hold only types count not at all, because nothing of them is left to run.
 */
export function writeCoverageReport(root: string, rawFolder: string): CoverageSummary {
  const sources = globSync('packages/*/src/**/*.ts', { cwd: root })
  const typesOnly = sources.filter((file) => !hasCode(readFileSync(join(root, file), 'utf8')))
  const c8 = createRequire(import.meta.url).resolve('c8/bin/c8.js')
  const flags = ['--all', '--clean=false', '--skip-full', '--exclude-after-remap=false']
  const filters = ['--include=packages/*/src/**/*.ts', ...typesOnly.map((file) => `--exclude=${file}`)]
  if (typesOnly.length === 0) filters.push('--exclude=node_modules/**')
  const reporters = ['text', 'json-summary', 'lcovonly'].map((name) => `--reporter=${name}`)
  const places = [`--temp-directory=${rawFolder}`, '--reports-dir=coverage']
  const report = spawnSync(process.execPath, [c8, 'report', ...flags, ...filters, ...reporters, ...places], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (report.status !== 0) throw new Error(`c8 report ended with exit code ${report.status}`)
  return JSON.parse(readFileSync(join(root, 'coverage', 'coverage-summary.json'), 'utf8'))
}

/** Whether anything is left of a TypeScript source when its types are taken out. */
export function hasCode(source: string): boolean {
  const statements = parseSync('stripped.js', stripTypeScriptTypes(source)).program.body
  // What stripping leaves of a file of types is at most `export {}`.
  return statements.some(
    (statement) =>
      statement.type !== 'ExportNamedDeclaration' ||
      statement.declaration !== null ||
      statement.source !== null ||
      statement.specifiers.length > 0,
  )
}

/** Adds up the files of each package. */
export function coverageByPackage(root: string, summaryOfFiles: CoverageSummary): readonly PackageCoverage[] {
  const packages = new Map<string, { lines: Share; branches: Share }>()
  for (const [file, entry] of Object.entries(summaryOfFiles)) {
    const [parent, name] = relative(root, file).split(sep)
    if (parent !== 'packages' || name === undefined) continue
    const sum = packages.get(name)
    packages.set(name, {
      lines: add(sum?.lines, entry.lines),
      branches: add(sum?.branches, entry.branches),
    })
  }
  return [...packages].map(([name, sum]) => ({ name, ...sum })).sort((a, b) => a.name.localeCompare(b.name))
}

function add(sum: Share | undefined, share: Share): Share {
  return { covered: (sum?.covered ?? 0) + share.covered, total: (sum?.total ?? 0) + share.total }
}

const percent = ({ covered, total }: Share) => (total === 0 ? 100 : (100 * covered) / total)

/** A small table, and whether every package reaches the required share. */
export function coverageGate(packages: readonly PackageCoverage[]): { ok: boolean; table: string } {
  const passes = (entry: PackageCoverage) =>
    Math.min(percent(entry.lines), percent(entry.branches)) >= requiredPercent
  const rows = packages.map(
    (entry) =>
      `${passes(entry) ? 'ok  ' : 'FAIL'} ${entry.name.padEnd(20)} ${percent(entry.lines).toFixed(2).padStart(6)} % lines  ${percent(entry.branches).toFixed(2).padStart(6)} % branches`,
  )
  const ok = packages.length > 0 && packages.every(passes)
  return { ok, table: [`coverage (at least ${requiredPercent} % of each package)`, ...rows].join('\n') }
}
