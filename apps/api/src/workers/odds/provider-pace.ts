// How often a provider is asked, by all processes together, and over their restarts: the time of the next request that
// it may get stands in a row, and whoever wants to ask moves it on by one statement.
//
// Guarantees: however many processes there are, and however often they restart, no more than `requestsPerMinute` are
// sent in any minute, and none before the end of a pause that the provider has wished for and that could be written
// down. While the database is away nobody asks; a pause that was wished for then is known to this process alone. Time
// is that of the database: the clocks of processes may differ.
// Does not know how long a request is under way: who counts arrivals may see those of a slow network closer together.

import { type Clock, systemClock } from '@holdfast/footing'
import type { PoolGuard } from '@holdfast/pool-guard'

/** Whose pace, and how fast. */
export interface ProviderPaceOptions {
  readonly pool: Pick<PoolGuard, 'query'>
  /** What the row is called; the same in all processes that ask the same provider. */
  readonly provider: string
  readonly requestsPerMinute: number
  readonly clock?: Clock
  /** What time it is; for tests that move it. Default: what the database says. */
  readonly now?: (() => Date) | undefined
}

/** A turn whose answer took longer is not used: its request would come close to the next one. */
const MAX_ANSWER_MS = 1000
/** A minute, and as much longer as a request may follow its turn. */
const SPREAD_MS = 60_000 + MAX_ANSWER_MS

export class ProviderPace {
  readonly #pool: Pick<PoolGuard, 'query'>
  readonly #provider: string
  readonly #clock: Clock
  readonly #now: (() => Date) | undefined
  /** From one request to the next, in ms. */
  readonly spacingMs: number
  /** What the provider wished for, by the clock of this process. */
  #notBeforeMs = Number.NEGATIVE_INFINITY

  constructor({ pool, provider, requestsPerMinute, clock = systemClock, now }: ProviderPaceOptions) {
    this.#pool = pool
    this.#provider = provider
    this.#clock = clock
    this.#now = now
    this.spacingMs = SPREAD_MS / requestsPerMinute
  }

  /** Milliseconds until it is worth asking for another turn; 0: this is one, for one request at once. Rejects as the pool does. */
  async claim(): Promise<number> {
    const wishedMs = this.#wishedMs()
    if (wishedMs > 0) return wishedMs
    const askedMs = this.#clock.nowMs()
    const { rows } = await this.#pool.query<{ claimed: boolean; wait_ms: number }>(
      `with claimed as (
         insert into provider_pace as pace (provider, next_request_at)
         values ($1, coalesce($3::timestamptz, clock_timestamp()) + $2 * interval '1 millisecond')
         on conflict (provider) do update
           set next_request_at = coalesce($3::timestamptz, clock_timestamp()) + $2 * interval '1 millisecond'
           where pace.next_request_at <= coalesce($3::timestamptz, clock_timestamp())
         returning 1
       )
       select exists (select from claimed) as claimed,
         coalesce((
           select extract(epoch from next_request_at - coalesce($3::timestamptz, clock_timestamp())) * 1000
           from provider_pace where provider = $1
         ), 0)::float8 as wait_ms`,
      [this.#provider, this.spacingMs, this.#now?.() ?? null],
    )
    const { claimed = false, wait_ms: waitMs = 0 } = rows[0] ?? {}
    // Somebody else was faster: what is known is older than what he wrote.
    if (!claimed) return Math.max(waitMs, 1)
    if (this.#clock.nowMs() - askedMs > MAX_ANSWER_MS) return this.spacingMs
    // What the provider has wished for in between holds for this turn, too.
    return this.#wishedMs()
  }

  /** Nobody asks for so long, in any process. Never rejects: what cannot be written down this process knows itself. */
  async postpone(ms: number): Promise<void> {
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#clock.nowMs() + ms)
    await this.#pool
      .query(
        `insert into provider_pace as pace (provider, next_request_at)
         values ($1, coalesce($3::timestamptz, clock_timestamp()) + $2 * interval '1 millisecond')
         on conflict (provider) do update
           set next_request_at = greatest(pace.next_request_at, excluded.next_request_at)`,
        [this.#provider, ms, this.#now?.() ?? null],
      )
      .catch(() => {})
  }

  #wishedMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#clock.nowMs())
  }
}
