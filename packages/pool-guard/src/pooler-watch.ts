import type { Clock } from '@holdfast/footing'
import type { QueryResultRow } from 'pg'
import type { GateLog } from './gate.ts'
import { sideConnection } from './one-question.ts'
import type { ResolvedPooler } from './options.ts'
import type { PgConnection } from './pg-connection.ts'

/** What PgBouncer said. */
export interface PoolerView {
  /** Clients of all processes that wait there for a connection to this database. */
  readonly waiting: number
  /** How long the first of them has waited, in ms. */
  readonly longestWaitMs: number
  readonly saturated: boolean
  /** How old this is, in ms; `undefined` before the first answer. */
  readonly ageMs: number | undefined
  /** Looks in a row that brought no answer. */
  readonly failures: number
}

/** What the watch needs. */
export interface PoolerWatchSettings extends ResolvedPooler {
  readonly database: string
  readonly clock: Clock
  readonly random: () => number
  readonly log: GateLog | undefined
  readonly onView: (saturated: boolean) => void
}

const JITTER = 0.2

/**
 * Reads `SHOW POOLS` on PgBouncer's console by timer, on a connection of its own. Counters of this process cannot see
 * what other processes do to the pooler; it can. One look at a time; a look that fails counts as "not saturated",
 * since nothing is known, and the next one opens a new connection.
 */
export class PoolerWatch {
  readonly #settings: PoolerWatchSettings
  #connection: PgConnection | undefined
  #cancelTimer: (() => void) | undefined
  #waiting = 0
  #longestWaitMs = 0
  #saturated = false
  #seenMs: number | undefined
  #failures = 0
  #closed = false
  #looking: Promise<void> | undefined

  constructor(settings: PoolerWatchSettings) {
    this.#settings = settings
  }

  start(): void {
    this.#again(0)
  }

  view(): PoolerView {
    return {
      waiting: this.#waiting,
      longestWaitMs: this.#longestWaitMs,
      saturated: this.#saturated,
      ageMs: this.#seenMs === undefined ? undefined : this.#settings.clock.nowMs() - this.#seenMs,
      failures: this.#failures,
    }
  }

  /** Stops looking; resolves when the connection is gone. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer?.()
    this.#connection?.destroy()
    await this.#looking
  }

  #again(delayMs: number): void {
    if (this.#closed) return
    this.#cancelTimer = this.#settings.clock.schedule(delayMs, () => {
      this.#looking = this.#look()
    })
  }

  async #look(): Promise<void> {
    const { intervalMs, random, log, onView } = this.#settings
    try {
      this.#read(await this.#rows())
      if (this.#failures > 0) log?.info({}, 'PgBouncer answers SHOW POOLS again')
      this.#failures = 0
    } catch (error) {
      this.#connection?.destroy()
      this.#connection = undefined
      this.#saturated = false
      this.#failures += 1
      if (this.#failures === 1 && !this.#closed) {
        log?.warn(
          { reason: String(error) },
          'PgBouncer does not answer SHOW POOLS; its pressure is not known',
        )
      }
    }
    if (this.#closed) return
    onView(this.#saturated)
    this.#again(intervalMs * (1 - JITTER * random()))
  }

  async #rows(): Promise<readonly QueryResultRow[]> {
    const { connectionString, clock, timeoutMs } = this.#settings
    let connection = this.#connection
    if (connection === undefined) {
      connection = sideConnection({ connectionString }, clock)
      this.#connection = connection
      await connection.connect(timeoutMs)
    }
    const { rows } = await connection.run({
      text: 'show pools',
      dueMs: clock.nowMs() + timeoutMs,
      limitMs: timeoutMs,
    })
    return rows
  }

  #read(rows: readonly QueryResultRow[]): void {
    const { database, saturatedWaiting, saturatedWaitMs, clock } = this.#settings
    let waiting = 0
    let longestWaitMs = 0
    for (const row of rows) {
      if (row['database'] !== database) continue
      waiting += Number(row['cl_waiting'])
      longestWaitMs = Math.max(
        longestWaitMs,
        Number(row['maxwait']) * 1000 + Number(row['maxwait_us']) / 1000,
      )
    }
    this.#waiting = waiting
    this.#longestWaitMs = longestWaitMs
    this.#saturated = waiting >= saturatedWaiting || longestWaitMs >= saturatedWaitMs
    this.#seenMs = clock.nowMs()
  }
}
