/**
 * What a deployment needs, looked at all at once: every check has a time-out, one that throws has failed and none takes
 * the others with it. Nothing is changed by looking. Results come in the order of the checks, whichever ends first.
 */

import { type Clock, holdProcess } from '@holdfast/footing'
import { CheckTimeoutError, OptionError } from './errors.ts'

/** From best to worst. `warn`: it will run, and somebody should know; `fail`: it must not run like this. */
export type Verdict = 'pass' | 'warn' | 'fail'

/** One thing that was found. Neither text may hold a secret. */
export interface Finding {
  readonly verdict: Verdict
  /** What it is called, for programs: texts change. */
  readonly rule?: string | undefined
  /** What is so. */
  readonly message: string
  /** What to do about it. */
  readonly hint?: string | undefined
  /** What it was measured by. */
  readonly data?: Readonly<Record<string, string | number | boolean | null>> | undefined
}

/** One question to a deployment. Nothing found means that all is well. */
export interface DeploymentCheck {
  readonly name: string
  readonly run: (context: { readonly signal: AbortSignal }) => Found | PromiseLike<Found>
  /** What to do when it throws, or does not answer in its time. */
  readonly hint?: string | undefined
  /** Default: that of `checkDeployment()`. */
  readonly timeoutMs?: number
}

/** What a check may answer. */
export type Found = Finding | readonly Finding[] | undefined

/** What became of one check. */
export interface DeploymentCheckResult {
  readonly name: string
  /** The worst of its findings. */
  readonly verdict: Verdict
  readonly durationMs: number
  readonly findings: readonly Finding[]
}

/** What became of all. */
export interface DeploymentReport {
  /** The worst of all. */
  readonly verdict: Verdict
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number
  readonly durationMs: number
  /** How many checks there were of each verdict. */
  readonly counts: Readonly<Record<Verdict, number>>
  readonly checks: readonly DeploymentCheckResult[]
}

/** How checks are run. */
export interface CheckRun {
  readonly clock: Clock
  /** Longest time of a check that names none. Default 5000 ms. */
  readonly timeoutMs?: number
}

const MAX_CHECKS = 200
const MAX_FINDINGS = 100
const MAX_TEXT = 1000
const order: readonly Verdict[] = ['pass', 'warn', 'fail']

/** Runs all checks at once. Raises `HOLDFAST_ERR_LIFECYCLE_OPTION` for more than 200, or two of one name; never rejects otherwise. */
export async function checkDeployment(
  checks: readonly DeploymentCheck[],
  { clock, timeoutMs = 5000 }: CheckRun,
): Promise<DeploymentReport> {
  const names = new Set(checks.map(({ name }) => name))
  if (checks.length > MAX_CHECKS || names.size < checks.length) {
    throw new OptionError('checks', `at most ${MAX_CHECKS}, each with a name of its own`, `${checks.length}`)
  }
  const fromMs = clock.nowMs()
  const atMs = clock.wallMs()
  const results = await Promise.all(checks.map((check) => runCheck(check, clock, timeoutMs)))
  const counts = { pass: 0, warn: 0, fail: 0 }
  for (const { verdict } of results) counts[verdict] += 1
  const verdict = worst(results)
  return { verdict, atMs, durationMs: clock.nowMs() - fromMs, counts, checks: results }
}

/** What a command that checks ends with: 0, 1 with a warning, 2 with a failure. */
export function exitCodeOf({ verdict }: Pick<DeploymentReport, 'verdict'>): number {
  return order.indexOf(verdict)
}

async function runCheck(
  { name, run, hint, timeoutMs: own }: DeploymentCheck,
  clock: Clock,
  usualMs: number,
): Promise<DeploymentCheckResult> {
  const fromMs = clock.nowMs()
  const timeoutMs = own ?? usualMs
  const controller = new AbortController()
  const late = Promise.withResolvers<never>()
  const cancel = clock.schedule(timeoutMs, () => {
    const error = new CheckTimeoutError(timeoutMs)
    controller.abort(error)
    late.reject(error)
  })
  const release = holdProcess()
  let findings: readonly Finding[]
  try {
    findings = findingsOf(
      await Promise.race([(async () => run({ signal: controller.signal }))(), late.promise]),
    )
  } catch (error) {
    const rule = error instanceof CheckTimeoutError ? 'no-answer' : 'check-broken'
    const message = error instanceof Error ? error.message : String(error)
    findings = [shortened({ verdict: 'fail', rule, message, hint })]
  } finally {
    cancel()
    release()
  }
  return { name, verdict: worst(findings), durationMs: clock.nowMs() - fromMs, findings }
}

/** Of more than can be kept the worst. Throws for what is no finding: a verdict that nobody knows is not a good one. */
function findingsOf(found: Found): readonly Finding[] {
  const findings = [found ?? []].flat()
  if (!findings.every(isFinding)) throw new TypeError('it answered what is no finding: { verdict, message }')
  const kept = findings.length > MAX_FINDINGS ? findings.toSorted(byVerdict).slice(0, MAX_FINDINGS) : findings
  return kept.map(shortened)
}

function isFinding(given: Finding): boolean {
  const { verdict, message } = Object(given) as Partial<Finding>
  return order.some((one) => one === verdict) && typeof message === 'string'
}

function byVerdict({ verdict: left }: Finding, { verdict: right }: Finding): number {
  return order.indexOf(right) - order.indexOf(left)
}

function worst(of: readonly { readonly verdict: Verdict }[]): Verdict {
  return of.reduce<Verdict>(
    (sofar, { verdict }) => (order.indexOf(verdict) > order.indexOf(sofar) ? verdict : sofar),
    'pass',
  )
}

function shortened({ message, hint, ...rest }: Finding): Finding {
  return { ...rest, message: message.slice(0, MAX_TEXT), ...(hint && { hint: hint.slice(0, MAX_TEXT) }) }
}
