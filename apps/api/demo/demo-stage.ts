// Where everything happens: the world, the users in it, and what is known of both. What is done to them is elsewhere.

import { setTimeout as sleep } from 'node:timers/promises'
import { Crowd } from './crowd.ts'
import { FLOOD_TENANT, TENANTS } from './demo-population.ts'
import type { DemoWorld } from './demo-world.ts'
import type { Progress } from './progress.ts'
import type { ServiceChild } from './service-child.ts'
import { ServiceGauges } from './service-gauges.ts'
import { type Episode, type Span, Timeline } from './timeline.ts'

/** New events are looked for so often, as a page of the house would. */
const OFFERS_EVERY_MS = 2000
/** Of a bet, until its event begins. */
const AHEAD_SECONDS = 5
const RECOVERY_MS = 30_000

/** How a fault went. */
export interface Outcome {
  readonly label: string
  /** From its begin until a second after everything worked again. */
  readonly span: Span
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

  static async open(world: DemoWorld, seed: number, progress: Progress): Promise<DemoStage> {
    progress.stage('starting web')
    const web = await world.startWeb('web')
    const timeline = new Timeline()
    const { cookies, floodCookie } = world
    const plan = { seed, cookies, floodCookie, tenants: TENANTS, floodTenant: FLOOD_TENANT }
    const crowd = await Crowd.start(plan, timeline, () => progress.tell(lineOf(timeline)))
    const stage = new DemoStage(world, web, crowd, timeline)
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
    await fault.end()
    const endedMs = Date.now()
    const recoveredMs = await this.#recovery(endedMs)
    await sleep(1500)
    const toMs = Date.now()
    this.timeline.episodes.push({ label: fault.mark ?? label, fromMs, toMs: endedMs, kind: 'fault' })
    const outcome = { label, recoveredMs, span: this.timeline.within(fromMs, toMs) }
    // What comes next begins from calm.
    await sleep(2500)
    return outcome
  }

  /** An episode without a fault. */
  async load(label: string, run: () => Promise<void>): Promise<Episode> {
    const fromMs = Date.now()
    await run()
    const episode: Episode = { label, fromMs, toMs: Date.now(), kind: 'load' }
    this.timeline.episodes.push(episode)
    return episode
  }

  async #recovery(endedMs: number): Promise<number | undefined> {
    while (Date.now() - endedMs < RECOVERY_MS) {
      const second = this.timeline.seconds.findLast(({ atMs }) => atMs > endedMs)
      const works = (kind: 'bet' | 'bot status') => (second?.kinds[kind]?.classes.fresh ?? 0) > 0
      if (second !== undefined && works('bet') && works('bot status')) return second.atMs - endedMs
      await sleep(100)
    }
    return undefined
  }
}

/** Something that happens. */
export interface Fault {
  begin(): Promise<unknown> | unknown
  readonly lastsMs: number
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
