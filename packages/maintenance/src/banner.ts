/*
 * The one line that everybody is shown. Pure. A banner of its own has nothing to do with maintenance; where there is
 * none, or its time is over, a rule that is to begin announces itself, and one that holds says so.
 */
import { inputs } from './inputs.ts'
import { lineOf, type Moment, momentOf, type Rule } from './rule.ts'

/** How a banner is meant. */
export type Severity = 'info' | 'warning' | 'critical'

/** A banner as it is given. */
export interface BannerInput {
  /** At most 500 characters. */
  readonly message: string
  /** Default `info`. */
  readonly severity?: Severity
  /** When it begins. Default: at once. */
  readonly from?: Moment
  /** When it ends by itself. Default: never. */
  readonly until?: Moment
}

/** A banner as it is kept. */
export interface Banner {
  readonly message: string
  readonly severity: Severity
  /** Milliseconds since the Unix epoch. */
  readonly fromMs?: number
  readonly untilMs?: number
}

/** What is shown at a moment. */
export interface ShownBanner extends Banner {
  /** Whether somebody has set it, a rule announces itself, or a rule that holds says so. */
  readonly origin: 'banner' | 'announcement' | 'maintenance'
}

const SEVERITIES: readonly Severity[] = ['info', 'warning', 'critical']

/** Reads a banner. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function readBanner(given: BannerInput): Banner {
  inputs.object('banner', given)
  inputs.onlyKnown('', given, ['message', 'severity', 'from', 'until'])
  const { message, severity = 'info', from, until } = given
  const fromMs = from === undefined ? undefined : momentOf('from', from)
  const untilMs = until === undefined ? undefined : momentOf('until', until)
  if (untilMs !== undefined && fromMs !== undefined && untilMs <= fromMs) {
    inputs.refuse('until', 'later than "from"', until)
  }
  return {
    message: lineOf('message', message),
    severity: inputs.oneOf('severity', severity, SEVERITIES),
    ...(fromMs !== undefined && { fromMs }),
    ...(untilMs !== undefined && { untilMs }),
  }
}

/** Reads a banner as another process has kept it. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export function readKeptBanner(kept: Banner): Banner {
  const { fromMs, untilMs, ...rest } = inputs.object('banner', kept)
  return readBanner({
    ...rest,
    ...(fromMs !== undefined && { from: fromMs }),
    ...(untilMs !== undefined && { until: untilMs }),
  })
}

/**
 * What is shown at `wallMs`: the banner, else the rule that announces itself and begins first, else the rule that holds
 * and ends last. What concerns one tenant alone is told to nobody else.
 */
export function bannerAt(
  banner: Banner | undefined,
  rules: readonly Rule[],
  wallMs: number,
): ShownBanner | undefined {
  if (banner !== undefined && holds(banner, wallMs)) return { ...banner, origin: 'banner' }
  const told = rules.filter(({ scope }) => scope.tenant === undefined)
  const [first] = told
    .filter(
      ({ fromMs, announceMs }) => fromMs !== undefined && wallMs < fromMs && wallMs >= fromMs - announceMs,
    )
    .toSorted((left, right) => (left.fromMs ?? 0) - (right.fromMs ?? 0))
  if (first !== undefined) return announcement(first)
  const [last] = told
    .filter((rule) => rule.message !== undefined && holds(rule, wallMs))
    .toSorted((left, right) => endOf(right) - endOf(left))
  if (last?.message === undefined) return undefined
  const severity = last.mode === 'banner-only' ? 'info' : 'warning'
  return { message: last.message, severity, origin: 'maintenance', ...windowOf(last) }
}

/** Whether a moment lies in a window. */
export function holds(
  { fromMs, untilMs }: { readonly fromMs?: number; readonly untilMs?: number },
  wallMs: number,
): boolean {
  return (fromMs === undefined || wallMs >= fromMs) && (untilMs === undefined || wallMs < untilMs)
}

function announcement(rule: Rule): ShownBanner {
  const { fromMs = 0, message } = rule
  const begins = `Maintenance begins at ${new Date(fromMs).toISOString().slice(0, 16).replace('T', ' ')} UTC.`
  return {
    message: message === undefined ? begins : `${begins} ${message}`,
    severity: 'warning',
    origin: 'announcement',
    ...windowOf(rule),
  }
}

function windowOf({ fromMs, untilMs }: Rule) {
  return { ...(fromMs !== undefined && { fromMs }), ...(untilMs !== undefined && { untilMs }) }
}

function endOf({ untilMs = Number.POSITIVE_INFINITY }: Rule): number {
  return untilMs
}
