// The demonstration from its begin to its table and its report.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { callerDirectory } from '../src/config.ts'
import { auditBets, auditNotices } from './bet-audit.ts'
import { demoClaims } from './demo-claims.ts'
import { runFaults } from './demo-faults.ts'
import { DEFAULT_USERS, type DemoOptions, DemoUsageError, usersWithin } from './demo-options.ts'
import { TENANTS } from './demo-population.ts'
import { DemoStage } from './demo-stage.ts'
import { startWorld } from './demo-world.ts'
import { Endings } from './endings.ts'
import { Leaving } from './leaving.ts'
import { measureIdle, measureLoad } from './measured-load.ts'
import { measurePace } from './measured-pace.ts'
import { openFileLimit } from './open-file-limit.ts'
import { ProbeWatch } from './probe-watch.ts'
import { Progress } from './progress.ts'
import { reportPage } from './report-page.ts'
import { signInBurst } from './sign-in-burst.ts'
import { themeCaching } from './theme-caching.ts'

/** Between an answer and the next request of a user, on average, where the machine keeps up. */
const LOAD_THINK_MS = 6000
/** Faults are looked at with fewer users who are more in a hurry. */
const FAULT_USERS = 500
const FAULT_THINK_MS = 1500

/** Answers the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const limit = openFileLimit()
  const possible = usersWithin(limit, options.users ?? DEFAULT_USERS)
  const users = possible
  if (users < (options.users ?? DEFAULT_USERS)) {
    if (options.users !== undefined)
      throw new DemoUsageError(
        `--users is ${options.users}, and this machine lets a process open ${limit} files (ulimit -n).`,
      )
    console.log(
      `A process may open ${limit} files here (ulimit -n): ${users} users instead of ${DEFAULT_USERS}.`,
    )
  }
  const endings = new Endings()
  const leaving = new Leaving(endings)
  // What breaks because somebody has left is no failure.
  const done = demonstrate({ ...options, users }, endings).catch((error: unknown) => {
    if (leaving.hasBegun) return leaving.code
    throw error
  })
  try {
    return await Promise.race([done, leaving.code])
  } finally {
    await endings.close()
  }
}

async function demonstrate(
  options: DemoOptions & { readonly users: number },
  endings: Endings,
): Promise<number> {
  const { users, seconds, seed } = options
  const report = resolve(callerDirectory(), options.report)
  const progress = new Progress(process.stdout, () => performance.now())
  endings.add(() => progress.clear())
  const world = await startWorld(users, seed, (text) => progress.stage(`starting ${text}`), endings)
  const stage = await DemoStage.open(world, seed, progress, endings)
  progress.stage('people sign in')
  const signIns = await signInBurst(stage.web.url, world.accounts)
  const idlePerSecond = await measureIdle(stage, progress)
  const pace = await measurePace(stage, users, progress)
  const load = await measureLoad(stage, pace.gathering(users, LOAD_THINK_MS), seconds, progress)
  const caching = await themeCaching(stage.web.url, TENANTS[0] ?? '')
  const few = Math.min(users, FAULT_USERS)
  const fewer = pace.gathering(few, FAULT_THINK_MS)
  progress.stage(`all but ${few} leave; they think for ${(fewer.thinkMs / 1000).toFixed(1)} s`)
  stage.crowd.gather(fewer)
  await stage.untilConnected(few)
  await stage.calm()
  const healthz = new ProbeWatch(() => `${stage.web.url}/healthz`, 100)
  const faults = await runFaults(stage, pace, progress)
  await healthz.stop()
  const whole = stage.timeline.within()
  progress.stage('everybody leaves, and all that is over is settled')
  const account = await stage.crowd.finish()
  stage.close()
  const bets = await auditBets(world, account)
  progress.stage('what waits for the webhook is delivered')
  const notices = { ...(await auditNotices(world.sql)), taken: world.webhook.taken }
  progress.clear()
  const loadSamples = stage.timeline.samplesWithin(load.episode.fromMs, load.episode.toMs)
  const claims = demoClaims({
    users,
    seconds,
    idlePerSecond,
    load,
    loadSamples,
    faults,
    whole,
    healthz,
    signIns,
    caching,
    account,
    bets,
    notices,
  })
  console.log(`\n${claims.table(Math.max(80, Math.min(160, process.stdout.columns ?? 140)))}\n`)
  console.log(
    `  The process of the users was late by ${whole.lateMs.toFixed(0)} ms at the most: what is slower than that is not the service alone.`,
  )
  for (const oddity of account.oddities) console.log(`  seen: ${oddity}`)
  await mkdir(dirname(report), { recursive: true })
  await writeFile(
    report,
    reportPage({
      claims,
      timeline: stage.timeline,
      users,
      seconds,
      seed,
      cpuShare: load.cpuShare,
      madeAt: new Date().toISOString().slice(0, 16).replace('T', ' '),
    }),
  )
  console.log(`${claims.summary}.\nThe report: ${report}`)
  return claims.exitCode
}
