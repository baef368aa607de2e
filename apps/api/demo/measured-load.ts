// The load that is measured: everybody comes, the service warms up, and then numbers are taken.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Gathering } from './crowd-protocol.ts'
import type { DemoStage } from './demo-stage.ts'
import { ProbeWatch } from './probe-watch.ts'
import type { Progress } from './progress.ts'
import { type Scrape, scrape, sumOf } from './service-gauges.ts'
import { difference, type StatementCounts, statementCounts } from './statement-counts.ts'
import type { Episode, Span } from './timeline.ts'

/** Nobody is there: what the service asks of itself. */
const IDLE_MS = 12_000
const WARM_UP_MS = 15_000
const LOOK_MS = 250

export interface LoadReport {
  readonly episode: Episode
  readonly span: Span
  /** In the time that was measured. */
  readonly statements: StatementCounts
  readonly highestPoolPercent: number
  /** How often the pool has come under pressure (85 %, or 5 who wait), which is counted and not sampled. */
  readonly pressed: number
  readonly leaks: number
  /** How long nothing has happened in a transaction, at the most. */
  readonly longestAsleepMs: number
  readonly cpuShare: number
  readonly healthz: ProbeWatch
}

/** What the service asks of PostgreSQL when nobody is there, in a second. */
export async function measureIdle({ world }: DemoStage, progress: Progress): Promise<StatementCounts> {
  progress.stage('nobody is there: what the service asks of itself')
  const before = await statementCounts(world.sql)
  await sleep(IDLE_MS)
  const idle = difference(await statementCounts(world.sql), before)
  const perSecond = (count: number) => count / (IDLE_MS / 1000)
  return { themes: perSecond(idle.themes), 'sign-ins': perSecond(idle['sign-ins']), all: perSecond(idle.all) }
}

export async function measureLoad(
  stage: DemoStage,
  gathering: Gathering,
  seconds: number,
  progress: Progress,
): Promise<LoadReport> {
  const { world, crowd } = stage
  const { users, thinkMs } = gathering
  progress.stage(`${users} users come, who think for ${(thinkMs / 1000).toFixed(1)} s`)
  crowd.gather(gathering)
  await stage.untilConnected(users)
  progress.stage('the service warms up')
  await sleep(WARM_UP_MS)
  await stage.calm()

  progress.stage(`${seconds} s are measured`)
  const healthz = new ProbeWatch(() => `${stage.web.url}/healthz`, 100)
  const [before, statementsBefore] = await Promise.all([scrape(stage.web.url), statementCounts(world.sql)])
  let longestAsleepMs = 0
  const looking = setInterval(async () => {
    longestAsleepMs = Math.max(longestAsleepMs, await asleepInTransactionMs(stage).catch(() => 0))
  }, LOOK_MS)
  const episode = await stage.episode(`${users} users`, 'load', () => sleep(seconds * 1000))
  clearInterval(looking)
  const [after, statementsAfter] = await Promise.all([scrape(stage.web.url), statementCounts(world.sql)])
  await healthz.stop()
  const grown = (name: string) => sumOf(after ?? none, name) - sumOf(before ?? none, name)
  const samples = stage.timeline.samplesWithin(episode.fromMs, episode.toMs)
  return {
    episode,
    span: stage.timeline.within(episode.fromMs, episode.toMs),
    statements: difference(statementsAfter, statementsBefore),
    highestPoolPercent: Math.max(...samples.map(({ poolPercent }) => poolPercent)),
    pressed: grown('holdfast_pool_guard_pressure_transitions_total'),
    leaks: grown('holdfast_pool_guard_leaks_total'),
    longestAsleepMs,
    cpuShare: grown('process_cpu_seconds_total') / ((episode.toMs - episode.fromMs) / 1000),
    healthz,
  }
}

const none: Scrape = new Map()

/** For how long nothing has happened in a transaction that is open, of whoever has waited longest. */
async function asleepInTransactionMs({ world }: DemoStage): Promise<number> {
  const { rows } = await world.sql.query<{ ms: string | null }>(
    `select max(extract(epoch from clock_timestamp() - state_change)) * 1000 as ms from pg_stat_activity
     where state like 'idle in transaction%'`,
  )
  return Number(rows[0]?.ms ?? 0)
}
