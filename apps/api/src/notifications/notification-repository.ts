// Notifications in PostgreSQL. Who is at one holds a claim, which ends by itself; whoever has lost it changes nothing.

import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import type { ChannelName, Notification } from './channel.ts'

/** One that is ours to send, until the claim is over. */
export interface Claimed {
  readonly notification: Notification
  /** What this claim is told from others by. */
  readonly claim: string
}

/** Why there is nothing to send: it is `sent`, somebody is at it (`claimed`), or it is not there (`gone`). */
export type Unclaimed = 'sent' | 'claimed' | 'gone'

/** What waits, as plain data. */
export interface NotificationDepth {
  /** `MOST_COUNTED` for as many and more. */
  readonly pending: number
  /** For how long the oldest of them has; 0 when there is none. */
  readonly oldestSeconds: number
}

/** More is not counted. */
export const MOST_COUNTED = 10_000
const MAX_ERROR = 1000

interface NotificationRow extends Record<string, unknown> {
  readonly id: string
  readonly kind: string
  readonly channel: ChannelName
  readonly recipient: string | null
  readonly tenant_id: string | null
  readonly user_id: string | null
  readonly payload: unknown
  readonly created_at: Date
  readonly claim: string
}

/** The statement of `claim`. One that is dead is somebody's replay. */
const CLAIM = `update notifications
  set attempts = attempts + 1, status = 'pending', ended_at = null,
    claimed_until = clock_timestamp() + $2 * interval '1 millisecond'
  where id = $1 and status <> 'sent' and (claimed_until is null or claimed_until <= clock_timestamp())
  returning id, kind, channel, recipient, tenant_id, user_id, payload, created_at, claimed_until::text as claim`

/** The statement of `depth`, through the index of those that wait. */
export const DEPTH = `select count(*) as pending,
    coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as oldest_seconds
  from (select created_at from notifications where status = 'pending' order by created_at limit ${MOST_COUNTED}) as waiting`

/** Reads and writes them. Rejects as the pool does. */
export class NotificationRepository {
  readonly #pool: Pick<PoolGuard, 'query'>

  constructor(pool: Pick<PoolGuard, 'query'>) {
    this.#pool = pool
  }

  /** Takes one for so long, unless somebody has it or it is sent. */
  async claim(id: string, forMs: number): Promise<Claimed | Unclaimed> {
    const { rows } = await this.#pool.query<NotificationRow>(CLAIM, [id, forMs])
    const [row] = rows
    if (row !== undefined) return { notification: notificationOf(row), claim: row.claim }
    const found = await this.#pool.query<{ status: string }>(
      'select status from notifications where id = $1',
      [id],
    )
    const status = found.rows[0]?.status
    if (status === undefined) return 'gone'
    return status === 'sent' ? 'sent' : 'claimed'
  }

  /** It has arrived. */
  async sent(id: string, claim: string): Promise<void> {
    await this.#pool.query(
      `update notifications set status = 'sent', ended_at = clock_timestamp(), claimed_until = null, last_error = null
       where id = $1 and claimed_until = $2::timestamptz`,
      [id, claim],
    )
  }

  /** It has not, and somebody will try again; part of a transaction where that puts in a job. */
  async failed(
    id: string,
    claim: string,
    why: string,
    tx: Pick<Transaction, 'query'> = this.#pool,
  ): Promise<void> {
    await tx.query(
      `update notifications set claimed_until = null, last_error = $3
       where id = $1 and claimed_until = $2::timestamptz`,
      [id, claim, why.slice(0, MAX_ERROR)],
    )
  }

  /** It will not, unless somebody says so. */
  async dead(id: string, claim: string, why: string): Promise<void> {
    await this.#pool.query(
      `update notifications set status = 'dead', ended_at = clock_timestamp(), claimed_until = null, last_error = $3
       where id = $1 and claimed_until = $2::timestamptz`,
      [id, claim, why.slice(0, MAX_ERROR)],
    )
  }

  /** What waits. */
  async depth(): Promise<NotificationDepth> {
    const { rows } = await this.#pool.query<{ pending: string; oldest_seconds: number }>(DEPTH)
    const [row] = rows
    return { pending: Number(row?.pending ?? 0), oldestSeconds: Math.max(0, row?.oldest_seconds ?? 0) }
  }
}

function notificationOf(row: NotificationRow): Notification {
  const { id, kind, channel, recipient, tenant_id, user_id, payload, created_at } = row
  return {
    id,
    kind,
    channel,
    recipient,
    tenantId: tenant_id,
    userId: user_id,
    payload,
    createdAt: created_at,
  }
}
