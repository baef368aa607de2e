/** What the requests of a trial say together. Pure. */
import type { TrialOutcome, TrialRequest } from './row.ts'

/** The value at a quantile (nearest rank); 0 when there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

const isError = ({ status }: TrialRequest) => status === 0 || status >= 500
const tookMs = (requests: readonly TrialRequest[]) => requests.map((request) => request.tookMs)
const percent = (part: number, whole: number) => (whole === 0 ? 0 : (100 * part) / whole)

/** An answer after this long is one that nobody waits for. */
const PATIENCE_MS = 250

/** The figures of a service whose database gets more work than it can do. */
export function overloadFigures({ requests, durationMs, report }: TrialOutcome): Record<string, number> {
  const of = (kind: string) => requests.filter((request) => request.kind === kind)
  const [critical, normal, open] = [of('critical'), of('normal'), of('public')]
  const fromDatabase = requests.filter((request) => request.fromDatabase && request.status === 200)
  // What came back while the load lasted; a queue that is worked off afterwards was no capacity.
  const inTime = fromDatabase.filter((request) => request.startedMs + request.tookMs <= durationMs)
  const useful = inTime.filter((request) => request.tookMs <= PATIENCE_MS)
  const elsewhere = normal.filter((request) => !request.fromDatabase)
  return {
    databasePerSecond: (inTime.length * 1000) / durationMs,
    usefulPerSecond: (useful.length * 1000) / durationMs,
    criticalP99Ms: quantile(tookMs(critical), 0.99),
    normalP99Ms: quantile(tookMs(normal.filter((request) => request.fromDatabase)), 0.99),
    publicP99Ms: quantile(tookMs(open), 0.99),
    elsewhereP99Ms: quantile(tookMs(elsewhere), 0.99),
    criticalErrorPercent: percent(critical.filter(isError).length, critical.length),
    normalErrorPercent: percent(normal.filter(isError).length, normal.length),
    publicErrorPercent: percent(open.filter(isError).length, open.length),
    ...reported(critical, report),
  }
}

/** Work that came in this long a piece of time is looked at as one, to see whether the service is well again. */
const LOOK_MS = 100

/** The figures of a service whose database answers nothing between two moments. */
export function freezeFigures(outcome: TrialOutcome): Record<string, number> {
  const { requests, entered, report } = outcome
  const frozenMs = entered['frozen'] ?? 0
  const thawedMs = entered['undisturbed'] ?? 0
  const during = requests.filter(({ startedMs }) => startedMs >= frozenMs && startedMs < thawedMs)
  const after = requests.filter(({ startedMs }) => startedMs >= thawedMs)
  const reads = (kinds: readonly TrialRequest[]) => kinds.filter(({ kind }) => kind !== 'critical')
  const critical = requests.filter(({ kind }) => kind === 'critical')
  return {
    hung: during.filter((request) => request.tookMs > 1000 * HUNG_S).length,
    duringP99Ms: quantile(tookMs(during), 0.99),
    readErrorPercent: percent(reads(during).filter(isError).length, reads(during).length),
    publicErrorPercent: percent(
      requests.filter((request) => request.kind === 'public' && isError(request)).length,
      requests.filter(({ kind }) => kind === 'public').length,
    ),
    errorsAfter: after.filter(isError).length,
    unclear: requests.filter(({ status }) => !CLEAR.has(status)).length,
    recoveredMs: recoveryMs(outcome, frozenMs, thawedMs),
    ...reported(critical, report),
  }
}

/** A client that waits longer than this hangs. */
const HUNG_S = 2.5

/** An answer, or a refusal that says that it is one and may be tried again. */
const CLEAR = new Set([200, 503, 504])

/** So many looks in a row with enough answers, and the service is well: one more hiccup later is no relapse. */
const WELL_LOOKS = 10

/** When, after the thaw, the second began in which the database always gave half as many answers in time as before. */
function recoveryMs({ requests, durationMs }: TrialOutcome, frozenMs: number, thawedMs: number): number {
  const useful = requests
    .filter(({ fromDatabase, status, tookMs }) => fromDatabase && status === 200 && tookMs <= PATIENCE_MS)
    .map(({ startedMs, tookMs }) => startedMs + tookMs)
  // The first third is left out: connections are opened then.
  const before = useful.filter((atMs) => atMs >= frozenMs / 3 && atMs < frozenMs).length
  const usualPerLook = (before * LOOK_MS) / ((frozenMs * 2) / 3)
  const looks = new Array<number>(Math.max(0, Math.floor((durationMs - thawedMs) / LOOK_MS))).fill(0)
  for (const atMs of useful) {
    const look = Math.floor((atMs - thawedMs) / LOOK_MS)
    if (look >= 0 && look < looks.length) looks[look] = (looks[look] ?? 0) + 1
  }
  const well = looks.findIndex(
    (_count, look) =>
      look + WELL_LOOKS <= looks.length &&
      looks.slice(look, look + WELL_LOOKS).every((count) => count >= usualPerLook / 2),
  )
  return (well === -1 ? looks.length : well) * LOOK_MS
}

/** What the server knows of itself, and whether it kept its word about writes. */
function reported(critical: readonly TrialRequest[], report: TrialOutcome['report']): Record<string, number> {
  const acknowledged = critical.filter(({ status }) => status === 200).length
  return {
    greatestQueue: report['greatestQueue'] ?? 0,
    lostWrites: Math.max(0, acknowledged - (report['written'] ?? 0)),
    writtenTwice: report['writtenTwice'] ?? 0,
  }
}
