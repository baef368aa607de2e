// How many requests the machine has time for, seen by asking: some users who are in a great hurry, for a few seconds.

import { setTimeout as sleep } from 'node:timers/promises'
import type { DemoStage } from './demo-stage.ts'
import { Pace } from './pace.ts'
import type { Progress } from './progress.ts'

/** They ask for no more than their limits let them: some 30 requests each. */
const HURRIED_USERS = 400
const HURRIED_THINK_MS = 150
const WARM_UP_MS = 1500
const MEASURED_MS = 3000
const ARRIVALS_PER_SECOND = 200

export async function measurePace(stage: DemoStage, users: number, progress: Progress): Promise<Pace> {
  progress.stage('how many requests there is time for')
  const hurried = Math.min(users, HURRIED_USERS)
  stage.crowd.gather({ users: hurried, thinkMs: HURRIED_THINK_MS, arrivalsPerSecond: ARRIVALS_PER_SECOND })
  await stage.untilConnected(hurried)
  await sleep(WARM_UP_MS)
  const episode = await stage.episode('how much there is time for', 'pace', () => sleep(MEASURED_MS))
  const span = stage.timeline.within(episode.fromMs, episode.toMs)
  const pace = new Pace(span.count(undefined, 'fresh', 'stale') / Math.max(1, span.seconds))
  progress.stage(
    `this machine answers ${pace.perSecond.toFixed(0)} requests in a second; users are paced by that`,
  )
  return pace
}
