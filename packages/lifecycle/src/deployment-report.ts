// A report of a deployment in the forms that people, programs and builds read.

import type { DeploymentCheckResult, DeploymentReport, Finding } from './deployment-check.ts'

/** For people: a line for each finding, what to do about it below, and a summary. */
export function reportText({ checks, counts, durationMs }: DeploymentReport): string {
  const width = Math.max(0, ...checks.map(({ name }) => name.length))
  const lines = checks.flatMap((check) =>
    findingsOf(check).flatMap(({ verdict, message, hint }) => [
      `${verdict.toUpperCase().padEnd(4)}  ${check.name.padEnd(width)}  ${oneLine(message)}`.trimEnd(),
      ...(hint === undefined ? [] : [`      ${' '.repeat(width)}  -> ${oneLine(hint)}`]),
    ]),
  )
  const { pass, warn, fail } = counts
  const total = checks.length === 1 ? 'one check' : `${checks.length} checks`
  const summary = `${total}: ${pass} passed, ${warn} with a warning, ${fail} failed`
  return [...lines, '', `${summary}, in ${Math.round(durationMs)} ms`].join('\n')
}

/** For programs, in members of snake_case. */
export function reportBody({ verdict, atMs, durationMs, counts, checks }: DeploymentReport): object {
  return {
    status: verdict,
    timestamp: new Date(atMs).toISOString(),
    duration_ms: Math.round(durationMs),
    summary: { total: checks.length, ...counts },
    checks: checks.map(({ name, verdict, durationMs, findings }) => ({
      name,
      status: verdict,
      duration_ms: Math.round(durationMs),
      findings: findings.map(({ verdict, ...rest }) => ({ status: verdict, ...rest })),
    })),
  }
}

/** For builds: a test case for each check. A warning is no failure there, and is told in the output of its case. */
export function reportJunit({ checks, counts, durationMs, atMs }: DeploymentReport): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(3)
  const told = (findings: readonly Finding[]) =>
    xml(
      findings
        .map(
          ({ verdict, message, hint }) => `${verdict.toUpperCase()} ${message}${hint ? `\n-> ${hint}` : ''}`,
        )
        .join('\n'),
    )
  const cases = checks.map(({ name, durationMs, findings }) => {
    const failed = findings.filter(({ verdict }) => verdict === 'fail')
    const others = findings.filter(({ verdict }) => verdict !== 'fail')
    const inside = [
      ...(failed.length === 0
        ? []
        : [
            `      <failure${typeOf(failed)} message="${xml(failed[0]?.message ?? '')}">${told(failed)}</failure>`,
          ]),
      ...(others.length === 0 ? [] : [`      <system-out>${told(others)}</system-out>`]),
    ]
    const head = `    <testcase classname="deployment" name="${xml(name)}" time="${seconds(durationMs)}"`
    return inside.length === 0 ? `${head}/>` : [`${head}>`, ...inside, '    </testcase>'].join('\n')
  })
  const totals = `tests="${checks.length}" failures="${counts.fail}" errors="0" skipped="0" time="${seconds(durationMs)}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite name="deployment" timestamp="${new Date(atMs).toISOString()}" ${totals}>`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
  ].join('\n')
}

/** JUnit has one type for what a check found, however many rules are broken. */
function typeOf([first]: readonly Finding[]): string {
  return first?.rule === undefined ? '' : ` type="${xml(first.rule)}"`
}

/** A check that found nothing has a line, too. */
function findingsOf({ findings, verdict }: DeploymentCheckResult): readonly Finding[] {
  return findings.length > 0 ? findings : [{ verdict, message: '' }]
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text for XML 1.0, which has no place for most control characters, escaped or not. */
function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '?')
    .replace(/[&<>"]/g, (character) => entities[character] ?? '')
}
