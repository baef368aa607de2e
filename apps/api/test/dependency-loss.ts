// A running service under load, something that happens to what it depends on, and what its clients saw.

import { setTimeout as sleep } from 'node:timers/promises'
import { StallWatch, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { testPool } from './fresh-database.ts'
import { type Kind, type KindReport, type Mix, MixedLoad } from './mixed-load.ts'

/** Longest time that an answer may take on a machine that has nothing else to do, by kind: the route's budget. */
const LONGEST_MS: Readonly<Record<Kind, number>> = { theme: 1000, history: 1600, preview: 3700 }
const RECOVERY_MS = 2000

/** What the clients saw since they were last asked, and what the machine may have added to it. */
type Observed = Record<Kind, KindReport> & { readonly allowanceMs: number }

/** Something that happens. */
export interface Fault {
  readonly name: string
  /** Resolves when it has happened. */
  begin(): Promise<void> | void
  /** How long it lasts. */
  readonly lastsMs: number
  /** Resolves when the dependency works again. */
  end(): Promise<void> | void
  /** Of what depends on the database: whether it goes on as if nothing had happened. */
  readonly unnoticed?: boolean
}

/** The service, in a process of its own or in that of the test. */
export interface LoadedService {
  readonly url: string
  /** What it has logged. */
  readonly stdout: string
}

/** What to try it on. */
export interface Trial {
  readonly service: LoadedService
  /** The database, past everything that has faults. */
  readonly databaseUrl: string
  readonly mix: Mix
  readonly faults: readonly Fault[]
}

/**
 * Runs every fault under load, and checks: no request without its answer, themes always 200, histories 200, stale or
 * refused, events stored or refused; nothing longer than its budget; all of it as before within two seconds; at the
 * end every acknowledged event stored once.
 */
export async function runTrial(t: Test, { service, databaseUrl, mix, faults }: Trial): Promise<void> {
  const load = await MixedLoad.start(service.url, mix)
  t.teardown(() => load.stop())
  const stalls = new StallWatch()
  t.teardown(() => stalls.stop())
  t.teardown(() => {
    if (!t.passing()) t.comment(service.stdout.slice(-20_000))
  })
  // The first requests open 200 connections and meet a process that has never answered any.
  await sleep(1500)
  load.report()
  stalls.reset()
  const report = (): Observed => {
    const observed = { ...load.report(), allowanceMs: stalls.allowanceMs() }
    stalls.reset()
    return observed
  }
  await sleep(1500)
  checkCalm(t, 'before', report())
  for (const fault of faults) {
    await fault.begin()
    await sleep(fault.lastsMs)
    const during = report()
    if (fault.unnoticed === true) checkCalm(t, `${fault.name}, meanwhile`, during)
    else checkAnswers(t, `${fault.name}, meanwhile`, during)
    await fault.end()
    // Nothing that was answered before counts.
    checkAnswers(t, `${fault.name}, at its end`, report())
    const recoveredMs = await recovery(load)
    const after = report()
    const limitMs = RECOVERY_MS + after.allowanceMs
    t.ok(recoveredMs <= limitMs, `${fault.name}: reads and writes work after ${recoveredMs} ms`)
    checkAnswers(t, `${fault.name}, until it was noticed`, after)
    await sleep(Math.max(0, RECOVERY_MS - recoveredMs))
    checkAnswers(t, `${fault.name}, in the two seconds after`, report())
    await sleep(1500)
    checkCalm(t, `${fault.name}, afterwards`, report())
  }
  await load.stop()
  await checkEvents(t, databaseUrl, load.acknowledged)
}

/** Milliseconds until a page comes from the database and an event is stored, for any of the clients. */
async function recovery(load: MixedLoad): Promise<number> {
  const startMs = performance.now()
  await waitUntil(() => load.count('history', '200') > 0 && load.count('preview', '201') > 0, {
    timeoutMs: 30_000,
    what: 'reads and writes to work again',
  })
  return Math.round(performance.now() - startMs)
}

/** Everything succeeds; a page may be an older one, where the pool has no room for it. */
function checkCalm(t: Test, when: string, report: Observed): void {
  checkAnswers(t, when, report)
  const { history, preview } = report
  t.strictSame({ ...preview.answers, 201: 0 }, { 201: 0 }, `${when}: every event is stored`)
  t.notOk(history.answers['503'], `${when}: no page is refused`)
}

/** Every request gets an answer that it may get, in time. */
function checkAnswers(t: Test, when: string, report: Observed): void {
  for (const kind of ['theme', 'history', 'preview'] as const) {
    const { requests, answers, wrong, p50Ms, p99Ms, maxMs } = report[kind]
    const times = `p50 ${p50Ms.toFixed(0)}, p99 ${p99Ms.toFixed(0)}, max ${maxMs.toFixed(0)} ms`
    t.strictSame(wrong, {}, `${when}: ${kind}, ${requests} requests: ${JSON.stringify(answers)}, ${times}`)
    const limitMs = Math.round(LONGEST_MS[kind] + report.allowanceMs)
    t.ok(requests === 0 || maxMs <= limitMs, `${when}: ${kind}, at most ${limitMs} ms`)
  }
}

/** What was acknowledged is stored, under the id that was told, and nothing is stored twice. */
async function checkEvents(t: Test, url: string, acknowledged: ReadonlyMap<string, string>): Promise<void> {
  const pool = testPool(url, 1)
  try {
    const { rows } = await pool.query<{ event_id: string; id: string }>(
      'select event_id, id from theme_preview_events',
    )
    const stored = new Map(rows.map(({ event_id, id }) => [event_id, id]))
    const lost = [...acknowledged].filter(([event, id]) => stored.get(event) !== id)
    t.strictSame(lost, [], `${acknowledged.size} acknowledged events, none lost`)
    t.equal(stored.size, rows.length, `${rows.length} stored events, none twice`)
  } finally {
    await pool.end()
  }
}
