// Keeps the odds of some sports: for each sport one process at a time asks the provider again and again, and saves what
// is new.
//
// Guarantees: a sport is asked for and saved by whoever has its lease (`odds/<sport>`), and a save by anybody else fails;
// a connection is held for a save, or for one short statement, never during a pause or a request; all requests of all
// processes keep to one pace; what fails is tried less and less often, and never before the provider wishes it.
// A request is tried a second time at once only when the provider could not be reached, and as long as the budget for
// that lasts.

import { type CircuitBreaker, RetryBudget, retry, withOutcome } from '@holdfast/circuit-breaker'
import { type Clock, systemClock } from '@holdfast/footing'
import { NOT_YET, type PoolGuard, type Worker, type WorkerRound } from '@holdfast/pool-guard'
import type { Lease, Leases } from '../../db/leases.ts'
import type { OddsProvider } from '../../provider/provider-client.ts'
import type { ProviderFeed } from '../../provider/provider-feed.ts'
import type { WorkerMetrics } from '../worker-metrics.ts'
import { type CountFetch, outcomeOfError } from './odds-metrics.ts'
import { firstPauses, pauseAfter } from './odds-schedule.ts'
import type { ProviderPace } from './provider-pace.ts'
import { type SettleQueue, saveFeed } from './save-feed.ts'

/** Where it says what happens; pino fits. */
export interface OddsLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** What a worker is made of. */
export interface OddsWorkerOptions {
  readonly pool: Pick<PoolGuard, 'startWorker'>
  readonly leases: Pick<Leases, 'take'>
  readonly provider: OddsProvider
  /** Of the same provider, in all processes. */
  readonly pace: Pick<ProviderPace, 'claim' | 'postpone'>
  /** Of the provider. */
  readonly breaker: CircuitBreaker
  readonly queue: SettleQueue
  readonly sports: readonly string[]
  /** From one request for a sport to the next, on average, in ms. */
  readonly intervalMs: number
  /** Longest pause that failures lead to, in ms. Default 10 times `intervalMs`. */
  readonly maxPauseMs?: number
  readonly log?: OddsLog | undefined
  readonly countFetch?: CountFetch | undefined
  readonly workerMetrics?: WorkerMetrics | undefined
  /** The clock of the pool. */
  readonly clock?: Clock
  /** Numbers in [0, 1), for the pauses. Default `Math.random`. */
  readonly random?: () => number
  /** Told of every pause, in ms. Default: nobody. */
  readonly onPause?: (pause: OddsPause) => void
}

/** A pause of a sport. */
export interface OddsPause {
  readonly sport: string
  readonly ms: number
  /** What the round before it was; `first`: there was none. */
  readonly after: 'first' | OddsRoundEnd
}

/**
 * How a round ended. `follower`: another process has the sport; `waited`: it was not yet time to ask; `pressed`: the
 * database is for others; `failed`: the provider or the database could not.
 */
export type OddsRoundEnd = 'saved' | 'follower' | 'waited' | 'pressed' | 'failed'

/** A sport as plain data. */
export interface OddsSportSnapshot {
  readonly sport: string
  /** Whether this process has it. */
  readonly leads: boolean
  readonly state: 'pausing' | 'finding' | 'saving' | 'stopped'
  readonly rounds: number
  readonly saved: number
  /** Failures since the last success. */
  readonly failures: number
  /** For how long this process has had it and saved nothing, in ms; 0 where another one has it. */
  readonly quietMs: number
}

interface Found {
  readonly lease: Lease
  readonly feed: ProviderFeed
}

/** The code of `refusal()` of a breaker. */
const BREAKER_OPEN = 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN'
/** A provider that has had enough, and does not say for how long. */
const DEFAULT_LIMITED_MS = 5000
/** Back from an outage of a moment without waiting for the next turn. */
const ATTEMPTS = 2
const RETRY_BASE_MS = 250
const RETRY_RATIO = 0.1
const RETRY_BURST = 5

/** Not now: nothing is wrong. */
class NotYet extends Error {
  readonly waitMs: number

  constructor(waitMs: number) {
    super('it is not yet time to ask the provider')
    this.waitMs = waitMs
    withOutcome(this, 'ignored')
  }
}

/** What is known about a sport. */
class Sport {
  readonly name: string
  lease: Lease | undefined
  worker: Worker | undefined
  failures = 0
  /** When it was saved last, or taken. */
  savedMs = 0
  /** What was last said about events that are not believed. */
  reported = ''
  /** Of the round that goes on. */
  end: OddsRoundEnd = 'follower'
  waitMs = 0

  constructor(name: string) {
    this.name = name
  }
}

/** A worker; it does nothing before `start()`. */
export class OddsWorker {
  readonly #options: OddsWorkerOptions
  readonly #clock: Clock
  readonly #random: () => number
  readonly #budget = new RetryBudget({ ratio: RETRY_RATIO, burst: RETRY_BURST })
  readonly #sports: readonly Sport[]

  constructor(options: OddsWorkerOptions) {
    const { clock = systemClock, random = Math.random, sports } = options
    this.#options = options
    this.#clock = clock
    this.#random = random
    this.#sports = [...new Set(sports)].map((sport) => new Sport(sport))
  }

  /** Begins, once. */
  start(): void {
    const { pool, intervalMs, onPause } = this.#options
    const pauses = firstPauses(
      this.#sports.map(({ name }) => name),
      intervalMs,
    )
    for (const sport of this.#sports) {
      const firstPauseMs = pauses.get(sport.name) ?? 0
      onPause?.({ sport: sport.name, ms: firstPauseMs, after: 'first' })
      sport.worker ??= pool.startWorker<Found>({
        name: `odds/${sport.name}`,
        intervalMs,
        firstPauseMs,
        // What was asked for is not thrown away because a few others come first; under pressure nothing is asked for.
        criticality: 'normal',
        pauseUnderPressure: true,
        find: ({ signal }) => this.#find(sport, signal),
        save: (tx, found) => this.#save(sport, tx, found),
        onRound: (round) => this.#ended(sport, round),
        pauseMs: () => this.#pauseAfter(sport),
      })
    }
  }

  /** Lets what is being saved end, and gives every sport to whoever wants it next. Never rejects. */
  async stop(): Promise<void> {
    await Promise.all(
      this.#sports.map(async (sport) => {
        await sport.worker?.stop()
        await sport.lease?.release()
      }),
    )
  }

  snapshot(): OddsSportSnapshot[] {
    const nowMs = this.#clock.nowMs()
    return this.#sports.map(({ name, lease, worker, failures, savedMs }) => {
      const { state = 'stopped', rounds = 0, saved = 0 } = worker?.snapshot() ?? {}
      const leads = lease?.signal.aborted === false
      const quietMs = leads ? Math.round(nowMs - savedMs) : 0
      return { sport: name, leads, state, rounds, saved, failures, quietMs }
    })
  }

  async #find(sport: Sport, signal: AbortSignal): Promise<Found | typeof NOT_YET | undefined> {
    sport.end = 'follower'
    sport.waitMs = 0
    const lease = await this.#leaseOf(sport)
    if (lease === undefined) return undefined
    let failure: unknown
    const tryOnce = (signal: AbortSignal) =>
      this.#ask(sport.name, signal).catch((error: unknown) => {
        if (!(error instanceof NotYet)) failure = error
        throw error
      })
    try {
      const feed = await retry((attempt) => tryOnce(attempt.signal), {
        attempts: ATTEMPTS,
        baseMs: RETRY_BASE_MS,
        budget: this.#budget,
        breaker: this.#options.breaker,
        // Who asks for a pause, or was too slow already, is not asked again in this round.
        retryIf: (error) => outcomeOfError(error) === 'unavailable' && !('retryAfterMs' in Object(error)),
        signal: AbortSignal.any([signal, lease.signal]),
        name: `odds of ${sport.name}`,
        clock: this.#clock,
        random: this.#random,
      })
      sport.end = 'saved'
      this.#report(sport, feed)
      return { lease, feed }
    } catch (error) {
      if (error instanceof NotYet) sport.waitMs = error.waitMs
      // Where only the second try came too early, the first one has failed.
      if (error instanceof NotYet && failure === undefined) {
        sport.end = 'waited'
        return NOT_YET
      }
      sport.waitMs = Math.max(sport.waitMs, retryAfterOf(error))
      throw failure ?? error
    }
  }

  async #leaseOf(sport: Sport): Promise<Lease | undefined> {
    if (sport.lease?.signal.aborted === false) return sport.lease
    const [lease] = await this.#options.leases.take([`odds/${sport.name}`])
    sport.lease = lease
    if (lease !== undefined) sport.savedMs = this.#clock.nowMs()
    return lease
  }

  /** One request, when it is time for it. */
  async #ask(sport: string, signal: AbortSignal): Promise<ProviderFeed> {
    const { breaker, pace, provider, countFetch } = this.#options
    // Before the turn: who is refused must not cost one.
    const openMs = breaker.retryAfterMs()
    if (openMs > 0) throw new NotYet(openMs)
    const waitMs = await pace.claim()
    if (waitMs > 0) throw new NotYet(waitMs)
    try {
      const feed = await breaker.execute((call) => provider.feed(sport, { signal: call.signal }), { signal })
      countFetch?.(feed.refusedCount === 0 ? 'ok' : 'partial')
      return feed
    } catch (error) {
      const { code } = Object(error) as { code?: unknown }
      if (code === BREAKER_OPEN) throw new NotYet(Math.max(1, retryAfterOf(error)))
      const outcome = outcomeOfError(error)
      if (outcome !== undefined) countFetch?.(outcome)
      const wishedMs = retryAfterOf(error) || (outcome === 'limited' ? DEFAULT_LIMITED_MS : 0)
      // Before the next one in line gets his turn.
      if (wishedMs > 0) await pace.postpone(wishedMs)
      throw error
    }
  }

  async #save(sport: Sport, tx: Parameters<typeof saveFeed>[0], { lease, feed }: Found): Promise<void> {
    await lease.hold(tx)
    const saved = await saveFeed(tx, feed, this.#options.queue)
    this.#options.log?.debug({ sport: sport.name, fence: String(lease.fence), ...saved }, 'odds saved')
  }

  /** Says what is not believed when it is not what was said last: a provider repeats itself. */
  #report(sport: Sport, { refused, refusedCount }: ProviderFeed): void {
    const told = JSON.stringify([refusedCount, refused.map(({ ref, why }) => [ref, why])])
    if (sport.reported === told) return
    sport.reported = told
    if (refusedCount === 0) return
    this.#options.log?.warn(
      { sport: sport.name, refused: refusedCount, first: refused },
      `${refusedCount} events of the provider cannot be used, and were left out`,
    )
  }

  #ended(sport: Sport, { outcome, heldMs }: WorkerRound): void {
    const { workerMetrics } = this.#options
    if (heldMs !== undefined) workerMetrics?.held('odds', heldMs)
    if (outcome === 'skipped') sport.end = 'pressed'
    // Somebody else has it now, and its failures.
    if (outcome === 'nothing') sport.failures = 0
    if (outcome === 'failed') {
      sport.end = 'failed'
      sport.failures += 1
    }
    if (outcome === 'saved') {
      sport.failures = 0
      sport.savedMs = this.#clock.nowMs()
      workerMetrics?.succeeded(`odds/${sport.name}`, this.#clock.wallMs())
    }
  }

  #pauseAfter(sport: Sport): number {
    const { intervalMs, maxPauseMs = 10 * intervalMs, onPause } = this.#options
    const { end, failures, waitMs } = sport
    const ms = pauseAfter(
      { failures: end === 'failed' ? failures : 0, notBeforeMs: end === 'pressed' ? 0 : waitMs },
      { intervalMs, maxPauseMs },
      this.#random,
    )
    onPause?.({ sport: sport.name, ms, after: end })
    return ms
  }
}

/** What an error says about the next try, in ms; 0 when it says nothing. */
function retryAfterOf(error: unknown): number {
  const { retryAfterMs } = Object(error) as { retryAfterMs?: unknown }
  return typeof retryAfterMs === 'number' ? retryAfterMs : 0
}
