import { styleText } from 'node:util'
import { stringify } from 'yaml'
import type { FileResult } from './run-file.ts'
import type { Failure } from './tap-record.ts'

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
const indent = (text: string, by: string) => text.trimEnd().replace(/^(?=.)/gm, by)

/** One line for a file that passed; for one that failed, everything it said. */
export function fileReport(result: FileResult): string {
  const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : ''
  const mark = result.ok ? styleText('green', 'ok  ') : styleText('red', 'FAIL')
  const failed = result.failed > 0 ? `, ${result.failed} failed` : ''
  const again = result.secondTry ? ', second try' : ''
  const line = `${mark} ${result.file}  ${result.passed} passed${failed}${skipped}  ${seconds(result.durationMs)}${again}`
  if (result.ok) return line
  const parts = [line, ...result.failures.map(failureReport)]
  if (result.problem !== undefined) parts.push(`  the file ${result.problem}`)
  if (result.output.trim() !== '') parts.push(`  what it wrote:\n${indent(result.output, '    ')}`)
  return parts.join('\n')
}

function failureReport(failure: Failure): string {
  const title = `  ${styleText('red', '✗')} ${failure.titles.join(' › ')}`
  if (failure.diagnostics === null || failure.diagnostics === undefined) return title
  return `${title}\n${indent(stringify(failure.diagnostics), '      ')}`
}

export interface Totals {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export function totalsOf(results: readonly FileResult[]): Totals {
  const totals = { passed: 0, failed: 0, skipped: 0 }
  for (const result of results) {
    totals.passed += result.passed
    totals.failed += result.failed
    totals.skipped += result.skipped
  }
  return totals
}

/** The last line of every run; `.ci/run` adds these up. */
export function totalsLine(totals: Totals): string {
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''
  return `${totals.passed} passed, ${totals.failed} failed${skipped}`
}

const slowFromMs = 1_000
const slowShown = 5

/** The slowest files, those that failed or needed a second try by name, and the totals. */
export function summary(results: readonly FileResult[]): string {
  const slow = results
    .filter((result) => result.durationMs >= slowFromMs)
    .sort((a, b) => b.durationMs - a.durationMs)
    .slice(0, slowShown)
  const failed = results.filter((result) => !result.ok)
  const lines: string[] = ['']
  if (slow.length > 0) {
    lines.push(`slowest: ${slow.map((result) => `${result.file} ${seconds(result.durationMs)}`).join(', ')}`)
  }
  const unsteady = results.filter((result) => result.ok && result.secondTry)
  if (unsteady.length > 0)
    lines.push(`passed only at the second try: ${unsteady.map(({ file }) => file).join(', ')}`)
  if (failed.length > 0) lines.push(`failed: ${failed.map((result) => result.file).join(', ')}`)
  lines.push(totalsLine(totalsOf(results)))
  return lines.join('\n')
}
