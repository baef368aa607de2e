import type { CheckLevel } from './check-state.ts'
import type { DegradedFeature } from './features.ts'
import type { CheckSnapshot, Phase } from './registry.ts'
import { type Status, statusOfLevel } from './verdict.ts'

/** What an answer is rendered from. */
export interface Report {
  /** The name in the last line of the text form, such as `readyz`. */
  readonly title: string
  readonly status: Status
  readonly atMs: number
  readonly service: string
  readonly version: string
  readonly phase: Phase
  /** `undefined` where a page shows no checks. */
  readonly checks: readonly CheckSnapshot[] | undefined
  readonly features: readonly DegradedFeature[]
  readonly excluded: readonly string[]
  readonly warnings: readonly string[]
  /** Whether the caller may see causes, times, texts and data. */
  readonly details: boolean
}

const levelOfStatus = { ok: 'healthy', degraded: 'degraded', error: 'unhealthy' } as const
const passOfStatus = { ok: 'pass', degraded: 'warn', error: 'fail' } as const

/** The body of a probe: `{ status, timestamp, phase?, checks?, excluded?, warnings? }`. */
export function probeBody(report: Report): object {
  const { status, atMs, phase, checks, excluded, warnings, details } = report
  return {
    status,
    timestamp: instant(atMs),
    ...(phase !== 'serving' && { phase }),
    ...(checks && { checks: checksBody(checks, details) }),
    ...(excluded.length > 0 && { excluded }),
    ...(warnings.length > 0 && { warnings }),
  }
}

/** The body of `/health` and, with `reports`, of `/health/check`. */
export function summaryBody(report: Report, reports?: object): object {
  const { status, atMs, service, version, phase, checks, features, excluded, warnings, details } = report
  return {
    status,
    level: levelOfStatus[status],
    timestamp: instant(atMs),
    service,
    version,
    phase,
    checks: checksBody(checks ?? [], details),
    features: featuresBody(features, details),
    ...(reports && { reports }),
    ...(excluded.length > 0 && { excluded }),
    ...(warnings.length > 0 && { warnings }),
  }
}

/** The body of draft-inadarei-api-health-check-06, `application/health+json`. */
export function healthJsonBody(report: Report): object {
  const { status, atMs, service, version, checks, warnings, details } = report
  const entries = (checks ?? []).map((check) => [
    check.name,
    [
      {
        status: passOfStatus[statusOfLevel(check.level)],
        ...(details && {
          time: instant(check.checkedAtMs ?? atMs),
          observedValue: hundredths(check.responseMs),
          observedUnit: 'ms',
          output: whyOf(check),
        }),
      },
    ],
  ])
  return {
    status: passOfStatus[status],
    releaseId: version,
    serviceId: service,
    ...(warnings.length > 0 && { notes: warnings }),
    ...(checks && { checks: Object.fromEntries(entries) }),
  }
}

/**
 * The text form, after the Kubernetes API server: `[+]name ok`, `[-]name failed: reason withheld`, and `[~]` for what is
 * wrong and does not fail the probe. Not verbose, it is one word.
 */
export function textBody(report: Report, verbose: boolean): string {
  const { title, status, checks, features, excluded, warnings, details } = report
  if (!verbose) return `${status}\n`
  const lines: string[] = []
  for (const check of checks ?? []) {
    const own = statusOfLevel(check.level)
    const sign = own === 'ok' ? '+' : own === 'error' && check.severity === 'critical' ? '-' : '~'
    const why = own === 'ok' ? '' : details ? `: ${whyOf(check) ?? 'no reason given'}` : ': reason withheld'
    lines.push(`[${sign}]${check.name} ${wordOf(check.level)}${why}`)
  }
  for (const { name, reason } of features) {
    lines.push(`[~]feature ${name} degraded: ${details ? reason : 'reason withheld'}`)
  }
  for (const name of excluded) lines.push(`[+]${name} excluded`)
  for (const warning of warnings) lines.push(`warn: ${warning}`)
  const phase = report.phase === 'serving' ? '' : ` (${report.phase})`
  const outcome = status === 'ok' ? 'passed' : status === 'degraded' ? 'degraded' : 'failed'
  lines.push(`${title} check ${outcome}${phase}`)
  // A reason may hold line breaks, and with them lines that look like ours.
  return `${lines.map((line) => line.replace(/[\r\n]+/g, ' ')).join('\n')}\n`
}

/** RFC 3339, in UTC. */
export function instant(atMs: number): string {
  return new Date(atMs).toISOString()
}

function checksBody(checks: readonly CheckSnapshot[], details: boolean): object {
  return Object.fromEntries(
    checks.map((check) => [
      check.name,
      details
        ? {
            status: check.level,
            severity: check.severity,
            groups: check.groups,
            response_ms: hundredths(check.responseMs),
            checked_at: check.checkedAtMs === undefined ? undefined : instant(check.checkedAtMs),
            last_outcome: check.lastOutcome,
            cause: check.cause,
            code: check.code,
            reason: check.reason,
            data: check.data,
            busy: check.busy,
            executions: check.executions,
            changes: check.changes,
          }
        : { status: check.level },
    ]),
  )
}

function hundredths(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 100) / 100
}

function featuresBody(features: readonly DegradedFeature[], details: boolean): object {
  return Object.fromEntries(
    features.map(({ name, reason, sinceMs, untilMs }) => [
      name,
      details
        ? {
            status: 'degraded',
            reason,
            since: instant(sinceMs),
            until: untilMs === undefined ? undefined : instant(untilMs),
          }
        : { status: 'degraded' },
    ]),
  )
}

function whyOf({ cause, code, reason }: CheckSnapshot): string | undefined {
  const parts = [cause === 'none' ? undefined : cause, code, reason].filter((part) => part !== undefined)
  return parts.length > 0 ? parts.join(': ') : undefined
}

function wordOf(level: CheckLevel): string {
  if (level === 'healthy') return 'ok'
  return level === 'unhealthy' ? 'failed' : level
}
