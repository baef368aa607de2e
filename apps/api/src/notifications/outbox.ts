// What somebody is to be told, written down in the transaction of what it tells. Delivered by a job, which the same
// transaction puts in: rolled back, nobody is told of what never was.

import type { Transaction } from '@holdfast/pool-guard'
import { storableJson, storableText } from '../db/storable-json.ts'
import type { JobQueue } from '../jobs/job-queue.ts'
import type { Channel } from './channel.ts'
import { jobKeyOf, type NotifyPayload } from './notify-job.ts'

/** What is to be told. */
export interface News {
  /** `feature.recovered`: at most 64 of `a-z 0-9 _ .`, a letter first. */
  readonly kind: string
  /** Id of the tenant that it is about. Default: of none. */
  readonly tenantId?: string | undefined
  /** Id of the user that it is about. Default: it is for the operators. */
  readonly userId?: string | undefined
  /** Secrets are masked, and of more than 16 KiB only the size is kept. */
  readonly payload: object
  /** What several say with the same words here is told once. At most 300 characters. Default: it is always told. */
  readonly once?: string | undefined
}

/** What it is made of. */
export interface OutboxParts {
  /** Those that are configured. */
  readonly channels: readonly Pick<Channel, 'name' | 'recipients'>[]
  readonly queue: Pick<JobQueue, 'enqueue'>
  /** Of the request or job that this runs for. */
  readonly correlationId: () => string | undefined
}

const MAX_ONCE = 300
const MAX_CORRELATION_ID = 128

const INSERT = `insert into notifications (tenant_id, user_id, kind, payload, correlation_id, channel, recipient, told_once)
  select $1::bigint, $2::bigint, $3::text, $4::jsonb, $5::text, channel, recipient, told_once
  from unnest($6::text[], $7::text[], $8::text[]) as given (channel, recipient, told_once)
  on conflict (told_once) do nothing
  returning id, channel`

/** Writes it down. */
export class Outbox {
  readonly #parts: OutboxParts

  constructor(parts: OutboxParts) {
    this.#parts = parts
  }

  /** Whether there is anybody to tell, and a way. */
  get hasChannels(): boolean {
    return this.#parts.channels.length > 0
  }

  /**
   * Tells it by every channel that is configured, as a part of that transaction; where none is, does nothing. Rejects as
   * the driver and the queue do.
   */
  async tell(tx: Pick<Transaction, 'query'>, { kind, tenantId, userId, payload, once }: News): Promise<void> {
    const { channels, queue, correlationId } = this.#parts
    const ways = channels.flatMap(({ name, recipients }) =>
      recipients.map((recipient) => ({ name, recipient, once: onceBy(once, name, recipient) })),
    )
    if (ways.length === 0) return
    const id = correlationId()
    const { rows } = await tx.query<{ id: string; channel: NotifyPayload['channel'] }>(INSERT, [
      tenantId ?? null,
      userId ?? null,
      kind,
      storableJson(payload),
      id === undefined ? null : storableText(id, MAX_CORRELATION_ID),
      ways.map(({ name }) => name),
      ways.map(({ recipient }) => recipient),
      ways.map((way) => way.once),
    ])
    for (const { id: notificationId, channel } of rows) {
      const job: NotifyPayload = { notification_id: notificationId, channel, postponed: 0 }
      await queue.enqueue(tx, 'notify', job, { key: jobKeyOf(notificationId) })
    }
  }
}

function onceBy(once: string | undefined, channel: string, recipient: string | null): string | null {
  return once === undefined ? null : `${channel} ${recipient ?? ''} ${storableText(once, MAX_ONCE)}`
}
