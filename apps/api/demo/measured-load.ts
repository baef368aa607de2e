// The load that is measured: everybody comes, the service warms up, and then numbers are taken.

import { setTimeout as sleep } from 'node:timers/promises'
import type { DemoStage } from './demo-stage.ts'
import { ProbeWatch } from './probe-watch.ts'
import type { Progress } from './progress.ts'
import { type Scrape, scrape, sumOf } from './service-gauges.ts'
import { difference, type StatementCounts, statementCounts } from './statement-counts.ts'
import type { Episode, Span } from './timeline.ts'

/** Nobody is there: what the service asks of itself. */
const IDLE_MS = 12_000
const WARM_UP_MS = 15_000
/** As `statement_timeout`: nobody is to sleep in a transaction for so long. */
const ASLEEP_SECONDS = 1
const LOOK_MS = 250

export interface LoadReport {
  readonly episode: Episode
  readonly span: Span
  /** What the service asks of PostgreSQL when nobody is there, in a second. */
  readonly idlePerSecond: StatementCounts
  /** In the time that was measured. */
  readonly statements: StatementCounts
  readonly highestPoolPercent: number
  /** How often the pool has come under pressure (85 %, or 5 who wait), which is counted and not sampled. */
  readonly pressed: number
  readonly leaks: number
  readonly asleepInTransaction: number
  readonly cpuShare: number
  readonly healthz: ProbeWatch
}

export async function measureLoad(
  stage: DemoStage,
  { users, seconds, thinkMs }: { readonly users: number; readonly seconds: number; readonly thinkMs: number },
  progress: Progress,
): Promise<LoadReport> {
  const { world, crowd } = stage
  progress.stage('nobody is there: what the service asks of itself')
  const beforeIdle = await statementCounts(world.sql)
  await sleep(IDLE_MS)
  const idle = difference(await statementCounts(world.sql), beforeIdle)
  const perSecond = (count: number) => count / (IDLE_MS / 1000)

  progress.stage(`${users} users come`)
  crowd.gather(users, thinkMs)
  while ((stage.timeline.seconds.at(-1)?.connected ?? 0) < users * 0.999 && !isLate(stage)) await sleep(200)
  progress.stage('the service warms up')
  await sleep(WARM_UP_MS)

  progress.stage(`${seconds} s are measured`)
  const healthz = new ProbeWatch(() => `${stage.web.url}/healthz`, 100)
  const [before, statementsBefore] = await Promise.all([scrape(stage.web.url), statementCounts(world.sql)])
  let asleep = 0
  const looking = setInterval(async () => {
    asleep = Math.max(asleep, await asleepInTransaction(stage).catch(() => 0))
  }, LOOK_MS)
  const episode = await stage.load(`${users} users`, () => sleep(seconds * 1000))
  clearInterval(looking)
  const [after, statementsAfter] = await Promise.all([scrape(stage.web.url), statementCounts(world.sql)])
  await healthz.stop()
  const grown = (name: string) => sumOf(after ?? none, name) - sumOf(before ?? none, name)
  const samples = stage.timeline.samplesWithin(episode.fromMs, episode.toMs)
  return {
    episode,
    span: stage.timeline.within(episode.fromMs, episode.toMs),
    idlePerSecond: {
      themes: perSecond(idle.themes),
      'sign-ins': perSecond(idle['sign-ins']),
      all: perSecond(idle.all),
    },
    statements: difference(statementsAfter, statementsBefore),
    highestPoolPercent: Math.max(...samples.map(({ poolPercent }) => poolPercent)),
    pressed: grown('holdfast_pool_guard_pressure_transitions_total'),
    leaks: grown('holdfast_pool_guard_leaks_total'),
    asleepInTransaction: asleep,
    cpuShare: grown('process_cpu_seconds_total') / ((episode.toMs - episode.fromMs) / 1000),
    healthz,
  }
}

const none: Scrape = new Map()
const ARRIVAL_SECONDS = 60

/** Where they do not all come, the numbers say so. */
function isLate({ timeline }: DemoStage): boolean {
  return timeline.seconds.length > ARRIVAL_SECONDS
}

/** Connections in a transaction in which nothing has happened for so long. */
async function asleepInTransaction({ world }: DemoStage): Promise<number> {
  const { rows } = await world.sql.query<{ count: string }>(
    `select count(*) from pg_stat_activity
     where state like 'idle in transaction%' and clock_timestamp() - state_change > $1 * interval '1 second'`,
    [ASLEEP_SECONDS],
  )
  return Number(rows[0]?.count)
}
