import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative, sep } from 'node:path'
import { parseSync } from 'oxc-parser'

/** Every package under `packages/`, and the service, must reach this share of its lines, and of its branches. */
export const requiredPercent = 95

/** What must reach it. */
export const coveredFolders = ['packages/*', 'apps/api']

const coveredFolder = /^(?:packages\/([^/]+)|apps\/(api))\//

/** The folder of a file that is covered, as `packages/health`; undefined for any other file. */
export function coveredFolderOf(file: string): string | undefined {
  return coveredFolder.exec(file.split(sep).join('/'))?.[0].slice(0, -1)
}

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
 * Turns what V8 recorded into `coverage/` (text, json-summary, lcov) for some folders. Files that no test loaded count
 * with nothing covered (`--all`); files that hold only types count not at all.
 */
export function writeCoverageReport(
  root: string,
  rawFolder: string,
  folders: readonly string[],
): CoverageSummary {
  const globs = folders.map((folder) => `${folder}/src/**/*.ts`)
  const typesOnly = globSync(globs, { cwd: root }).filter(
    (file) => !hasCode(readFileSync(join(root, file), 'utf8')),
  )
  const c8 = createRequire(import.meta.url).resolve('c8/bin/c8.js')
  const flags = ['--all', '--clean=false', '--skip-full']
  const included = globs.map((glob) => `--include=${glob}`)
  // Without any exclude c8 leaves out what it takes for tests, by names of its own.
  const excluded = ['node_modules/**', ...typesOnly].map((glob) => `--exclude=${glob}`)
  const reporters = ['text', 'json-summary', 'lcovonly'].map((name) => `--reporter=${name}`)
  const places = [`--temp-directory=${rawFolder}`, '--reports-dir=coverage']
  const report = spawnSync(
    process.execPath,
    [c8, 'report', ...flags, ...included, ...excluded, ...reporters, ...places],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  if (report.status !== 0) throw new Error(`c8 report ended with exit code ${report.status}`)
  return JSON.parse(readFileSync(join(root, 'coverage', 'coverage-summary.json'), 'utf8'))
}

/** Whether anything of a TypeScript source is left to run when its types are taken out. */
export function hasCode(source: string): boolean {
  return parseSync('source.ts', source).program.body.some((statement) => {
    switch (statement.type) {
      case 'TSInterfaceDeclaration':
      case 'TSTypeAliasDeclaration':
      case 'TSModuleDeclaration':
        return false
      case 'ImportDeclaration':
        return statement.importKind !== 'type'
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        return statement.exportKind !== 'type'
      default:
        return true
    }
  })
}

/** Adds up the files of each package. */
export function coverageByPackage(root: string, summaryOfFiles: CoverageSummary): readonly PackageCoverage[] {
  const packages = new Map<string, { lines: Share; branches: Share }>()
  for (const [file, entry] of Object.entries(summaryOfFiles)) {
    const name = coveredFolderOf(relative(root, file))?.split('/')[1]
    if (name === undefined) continue
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
