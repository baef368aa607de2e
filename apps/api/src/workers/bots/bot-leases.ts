// Which bots have nobody who runs them, and how many there are of all, by their leases.

import type { PoolGuard } from '@holdfast/pool-guard'
import type { BotCensus } from './fair-share.ts'

/** Processes that run bots have one such lease each, by which they are counted. */
export const RUNNER_KIND = 'bot-runner'
/** A process that has not been heard of for so long is no more counted, and its row goes. */
const FORGET_AFTER = '1 hour'

/** A bot that nobody runs. */
export interface FreeBot {
  /** Of its lease. */
  readonly name: string
  /** Who had it last. */
  readonly owner: string
}

/** The name of the lease of a bot. */
export function leaseName(botId: string): string {
  return `bot/${botId}`
}

/** Reads leases. Errors are the driver's or the pool's. */
export class BotLeases {
  readonly #pool: Pick<PoolGuard, 'query'>

  constructor(pool: Pick<PoolGuard, 'query'>) {
    this.#pool = pool
  }

  /** Bots that nobody runs, those that have waited the longest first. */
  async free(limit: number): Promise<FreeBot[]> {
    const { rows } = await this.#pool.query<{ name: string; owner: string }>(
      // now() and not clock_timestamp(), which no index can be asked by.
      `select name, owner from leases where kind = 'bot' and expires_at <= now() order by expires_at limit $1`,
      [limit],
    )
    return rows
  }

  /** What there is in all; `graceMs` is how long a bot may be without an owner. */
  async census(graceMs: number): Promise<BotCensus> {
    const { rows } = await this.#pool.query<{ running: number; alone: number; processes: number }>(
      `select count(*) filter (where kind = 'bot')::int as running,
         count(*) filter (where kind = 'bot' and expires_at <= now() - $1 * interval '1 millisecond')::int as alone,
         count(*) filter (where kind = '${RUNNER_KIND}' and expires_at > now())::int as processes
       from leases where kind in ('bot', '${RUNNER_KIND}')`,
      [graceMs],
    )
    return rows[0] ?? { running: 0, alone: 0, processes: 0 }
  }

  /** Forgets processes that were not heard of for an hour. */
  async forgetRunners(): Promise<void> {
    await this.#pool.query(
      `delete from leases where kind = '${RUNNER_KIND}' and expires_at < now() - interval '${FORGET_AFTER}'`,
    )
  }
}
