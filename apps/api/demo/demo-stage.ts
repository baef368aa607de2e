// Where everything happens: the world, the users in it, and what is known of both. What is done to them is elsewhere.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Kind } from './answer-class.ts'
import { Crowd } from './crowd.ts'
import { FLOOD_TENANT, TENANTS } from './demo-population.ts'
import type { DemoWorld } from './demo-world.ts'
import { Endings } from './endings.ts'
import type { Progress } from './progress.ts'
import type { ServiceChild } from './service-child.ts'
import { ServiceGauges } from './service-gauges.ts'
import { type Episode, type Span, Timeline } from './timeline.ts'

/** New events are looked for so often, as a page of the house would. */
const OFFERS_EVERY_MS = 2000
/** Of a bet, until its event begins. */
const AHEAD_SECONDS = 5
/** For how long it is waited for that everything works again, on however slow a machine. It is told how long it took. */
const RECOVERY_MS = 120_000
const ARRIVAL_MS = 120_000
/** Longer than anybody waits for an answer. */
const ANSWERED_MS = 70_000
/** After the begin of a fault, in which requests are still answered that came before it. */
const BEGINNING_MS = 1000
/** Of one that has not been seen by then. */
const LONGEST_FAULT_MS = 60_000
/** Seconds in which nobody is refused: then it is calm. */
const CALM_SECONDS = 3
const CALM_MS = 60_000
const LOOK_MS = 100

/** How a fault went. */
export interface Outcome {
  readonly label: string
  /** From its begin until everything worked again, and everybody who had asked meanwhile had his answer. */
  readonly span: Span
  /** Only while it lasted. */
  readonly during: Span
  /** Until reads and bets worked again after its end; undefined when they did not in time. */
  readonly recoveredMs: number | undefined
}

export class DemoStage {
  readonly timeline = new Timeline()
  readonly world: DemoWorld
  readonly gauges: ServiceGauges
  readonly crowd: Crowd
  web: ServiceChild
  readonly #offering: NodeJS.Timeout

  private constructor(world: DemoWorld, web: ServiceChild, crowd: Crowd, timeline: Timeline) {
    this.world = world
    this.web = web
    this.crowd = crowd
    this.timeline = timeline
    this.gauges = new ServiceGauges(() => this.web.url, timeline)
    this.#offering = setInterval(() => void this.offer(), OFFERS_EVERY_MS)
    crowd.send(web.port)
  }

  static async open(world: DemoWorld, seed: number, progress: Progress, endings = new Endings()) {
    progress.stage('starting web')
    const web = await world.startWeb('web')
    const timeline = new Timeline()
    const crowd = await endings.begin(
      async () => Crowd.spawn(timeline, () => progress.tell(lineOf(timeline))),
      (spawned) => spawned.kill(),
    )
    const { cookies, floodCookie } = world
    await crowd.begin({ seed, cookies, floodCookie, tenants: TENANTS, floodTenant: FLOOD_TENANT })
    const stage = new DemoStage(world, web, crowd, timeline)
    endings.add(() => stage.close())
    await stage.offer()
    return stage
  }

  close(): void {
    clearInterval(this.#offering)
    this.gauges.stop()
  }

  /** Tells users what can be bet on; the last they heard holds while the database is away. Never rejects. */
  async offer(): Promise<void> {
    const found = await this.world.sql
      .query<{ event_id: string; market: string; selection: string }>(
        `select event_id, market, selection from odds join sport_events on sport_events.id = event_id
         where status = 'scheduled' and starts_at > clock_timestamp() + $1 * interval '1 second'
         order by starts_at, event_id limit 60`,
        [AHEAD_SECONDS],
      )
      .catch(() => undefined)
    if (found === undefined) return
    this.crowd.offer(
      found.rows.map(({ event_id: eventId, market, selection }) => ({
        eventId: String(eventId),
        market,
        selection,
      })),
    )
  }

  /** Something happens, lasts, and ends; answers how that went when everything works again, or does not in time. */
  async fault(label: string, fault: Fault, progress: Progress): Promise<Outcome> {
    progress.stage(label)
    const fromMs = Date.now()
    await fault.begin()
    await sleep(fault.lastsMs)
    const during = () => this.timeline.within(fromMs + BEGINNING_MS)
    const { isSeen = () => true } = fault
    await this.#until(() => isSeen(during()), LONGEST_FAULT_MS)
    await fault.end()
    const endedMs = Date.now()
    const recoveredMs = await this.#recovery(endedMs)
    await this.#until(() => this.#everybodyHasHisAnswer(endedMs), ANSWERED_MS)
    const toMs = Date.now()
    this.timeline.episodes.push({ label: fault.mark ?? label, fromMs, toMs: endedMs, kind: 'fault' })
    const outcome: Outcome = {
      label,
      recoveredMs,
      span: this.timeline.within(fromMs, toMs),
      during: this.timeline.within(fromMs + BEGINNING_MS, endedMs),
    }
    await this.calm()
    return outcome
  }

  /** An episode without a fault. */
  async episode(label: string, kind: 'pace' | 'load', run: () => Promise<void>): Promise<Episode> {
    const fromMs = Date.now()
    await run()
    const episode: Episode = { label, fromMs, toMs: Date.now(), kind }
    this.timeline.episodes.push(episode)
    return episode
  }

  /** Until so many are there, and no more; where that takes too long, the numbers say so. */
  async untilConnected(users: number): Promise<void> {
    const isThere = () => {
      const connected = this.timeline.seconds.at(-1)?.connected ?? 0
      return connected >= users * 0.999 && connected <= Math.max(users * 1.02, users + 2)
    }
    await this.#until(isThere, ARRIVAL_MS)
  }

  /** What comes next begins when nobody is refused any more; where that does not come, what comes next says so. */
  async calm(): Promise<void> {
    const beganMs = Date.now()
    await this.#until(() => {
      const seconds = this.timeline.seconds.slice(-CALM_SECONDS)
      if (seconds.length < CALM_SECONDS || (seconds[0]?.atMs ?? 0) < beganMs) return false
      const last = this.timeline.within((seconds[0]?.atMs ?? 0) - 1)
      return last.requests > 0 && last.count(undefined, 'unavailable', 'error', 'none') === 0
    }, CALM_MS)
  }

  async #recovery(endedMs: number): Promise<number | undefined> {
    const firstMs = (kind: Kind) =>
      this.timeline.seconds.find(({ atMs, kinds }) => atMs > endedMs && (kinds[kind]?.classes.fresh ?? 0) > 0)
        ?.atMs ?? Number.POSITIVE_INFINITY
    const recoveredMs = () => Math.max(firstMs('bet'), firstMs('bot status')) - endedMs
    await this.#until(() => Number.isFinite(recoveredMs()), RECOVERY_MS)
    return Number.isFinite(recoveredMs()) ? recoveredMs() : undefined
  }

  #everybodyHasHisAnswer(askedBeforeMs: number): boolean {
    const second = this.timeline.seconds.at(-1)
    return second !== undefined && second.atMs - second.waitingMs > askedBeforeMs
  }

  /** Or until it has lasted too long, which what follows shows. */
  async #until(isSo: () => boolean, longestMs: number): Promise<void> {
    const endMs = performance.now() + longestMs
    while (!isSo() && performance.now() < endMs) await sleep(LOOK_MS)
  }
}

/** Something that happens. */
export interface Fault {
  begin(): Promise<unknown> | unknown
  /** At the least. */
  readonly lastsMs: number
  /** It lasts until this has been seen of it: a slow machine needs longer for as many requests. Default: nothing. */
  isSeen?(during: Span): boolean
  end(): Promise<unknown> | unknown
  /** A shorter name for charts. */
  readonly mark?: string
}

function lineOf(timeline: Timeline): string {
  const second = timeline.seconds.at(-1)
  if (second === undefined) return ''
  const span = timeline.within(second.atMs - 1, second.atMs)
  const good = span.count(undefined, 'fresh', 'stale')
  const refused = span.count(undefined, 'refused', 'limited', 'unavailable')
  const bad = span.count(undefined, 'error', 'none')
  const pool = timeline.samples.at(-1)?.poolPercent ?? 0
  const p99 = span.percentileMs(undefined, 0.99)
  const late = Number.isNaN(p99) ? '' : `, p99 ${p99.toFixed(0)} ms`
  return `${second.connected} users, ${span.requests}/s: ${good} served, ${refused} refused, ${bad} bad${late}, pool ${pool.toFixed(0)} %`
}
