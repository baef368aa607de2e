// Delivers notifications: the handler of the queue `notify`.
//
// Guarantees: what has arrived is not sent again by another job of it, nor by a second one at the same time; a failure is
// tried again by the queue, and one that no other try can mend goes to the dead letters at once; while the other side
// wants to be left alone (its breaker is open, or it has said for how long), a job is put off and no try is used up, at
// most 20 times.
// Does not guarantee that something arrives once: whoever dies, or loses the database, between the answer and the row
// leaves it to be sent again. A webhook has the same `webhook-id` then.

import type { PoolGuard } from '@holdfast/pool-guard'
import { ApiNotificationBusyError, ApiNotificationFailedError } from '../errors.ts'
import { type Job, type JobHandler, type JobQueue, PermanentJobError } from '../jobs/job-queue.ts'
import type { Obstacle } from '../jobs/replay-obstacle.ts'
import type { Channel, ChannelName, Verdict } from './channel.ts'
import type { Claimed, NotificationRepository } from './notification-repository.ts'
import { jobKeyOf, type NotifyPayload, readNotifyPayload } from './notify-job.ts'

/** What becomes of a try. `duplicate`: it had arrived before. */
export type DeliveryOutcome = 'sent' | 'failed' | 'postponed' | 'dead' | 'duplicate'

/** What it is made of. */
export interface DeliveryParts {
  readonly channels: readonly Channel[]
  readonly repository: NotificationRepository
  readonly pool: Pick<PoolGuard, 'transaction'>
  readonly queue: Pick<JobQueue, 'enqueue'>
  /** Tries that a job has in all. */
  readonly maxAttempts: number
  /** In [0, 1). */
  readonly random: () => number
  readonly onEnd?: (channel: ChannelName, outcome: DeliveryOutcome) => void
}

/** Longer than a try can take: `CHANNEL_BREAKER.timeoutMs`, and what the database takes. */
const CLAIM_MS = 30_000
const MAX_POSTPONED = 20
/** What was put off together does not come back together. */
const SPREAD_MS = 30_000

/** The handler. */
export class Delivery implements JobHandler<NotifyPayload> {
  readonly #parts: DeliveryParts

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  parse(payload: unknown): NotifyPayload {
    return readNotifyPayload(payload)
  }

  /** While the breaker of its way is open a message is not sent. */
  obstacle(payload: unknown): Obstacle | undefined {
    const name = Object(payload)['channel']
    const channel = this.#parts.channels.find((each) => each.name === name)
    if (channel?.breaker.state !== 'open') return undefined
    return { why: `the breaker of ${channel.name} is open`, retryAfterMs: channel.breaker.retryAfterMs() }
  }

  async handle(job: Job<NotifyPayload>): Promise<void> {
    const { channels, repository } = this.#parts
    const { notification_id: id, channel: name, postponed } = job.payload
    const channel = channels.find((each) => each.name === name)
    if (channel !== undefined && channel.breaker.state === 'open' && postponed < MAX_POSTPONED) {
      return this.#postpone(job.payload, channel.breaker.retryAfterMs())
    }
    const claimed = await repository.claim(id, CLAIM_MS)
    if (claimed === 'claimed') throw new ApiNotificationBusyError(id)
    if (claimed === 'sent' || claimed === 'gone') return this.#ended(name, 'duplicate')
    const verdict: Verdict =
      channel === undefined
        ? { outcome: 'dead', why: `${name} is not configured any more` }
        : await channel.send(claimed.notification, job.signal)
    await this.#settle(job, claimed, verdict)
  }

  async #settle(job: Job<NotifyPayload>, { claim }: Claimed, verdict: Verdict): Promise<void> {
    const { repository, maxAttempts } = this.#parts
    const { notification_id: id, channel, postponed } = job.payload
    if (verdict.outcome === 'sent') {
      await repository.sent(id, claim)
      return this.#ended(channel, 'sent')
    }
    const { outcome, why } = verdict
    if (outcome === 'dead') {
      await repository.dead(id, claim, why)
      this.#ended(channel, 'dead')
      throw new PermanentJobError(`notification ${id}: ${why}`)
    }
    const { afterMs } = verdict
    if (afterMs !== undefined && postponed < MAX_POSTPONED && !job.signal.aborted) {
      return this.#postpone(job.payload, afterMs, { claim, why })
    }
    const isLast = job.attempt >= maxAttempts
    if (isLast) await repository.dead(id, claim, why)
    else await repository.failed(id, claim, why)
    this.#ended(channel, isLast ? 'dead' : 'failed')
    throw new ApiNotificationFailedError(id, why)
  }

  /** Another job, later, in place of this one. */
  async #postpone(
    payload: NotifyPayload,
    afterMs: number,
    held?: { readonly claim: string; readonly why: string },
  ): Promise<void> {
    const { pool, queue, repository, random } = this.#parts
    const { notification_id: id, channel, postponed } = payload
    await pool.transaction({ criticality: 'normal' }, async (tx) => {
      if (held !== undefined) await repository.failed(id, held.claim, held.why, tx)
      await queue.enqueue(
        tx,
        'notify',
        { ...payload, postponed: postponed + 1 },
        { key: jobKeyOf(id), afterMs: Math.ceil(afterMs + random() * Math.min(SPREAD_MS, afterMs)) },
      )
    })
    this.#ended(channel, 'postponed')
  }

  #ended(channel: ChannelName, outcome: DeliveryOutcome): void {
    this.#parts.onEnd?.(channel, outcome)
  }
}
