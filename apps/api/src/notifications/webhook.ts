// Tells a server by a signed message.

import type { CircuitBreaker } from '@holdfast/circuit-breaker'
import type { Clock } from '@holdfast/footing'
import { failureVerdict, webhookVerdict } from './answer-verdict.ts'
import type { Channel, Notification, Verdict } from './channel.ts'
import type { OutboundClient } from './outbound-client.ts'
import { webhookHeaders } from './webhook-signature.ts'

/** What it is made of. */
export interface WebhookOptions {
  readonly url: URL
  readonly key: Buffer
  readonly client: Pick<OutboundClient, 'post'>
  readonly breaker: CircuitBreaker
  readonly clock: Pick<Clock, 'wallMs'>
}

/** The channel. */
export class Webhook implements Channel {
  readonly name = 'webhook'
  readonly recipients = [null]
  readonly breaker: CircuitBreaker
  readonly #options: WebhookOptions

  constructor(options: WebhookOptions) {
    this.#options = options
    this.breaker = options.breaker
  }

  async send(notification: Notification, signal: AbortSignal): Promise<Verdict> {
    const { url, key, client, breaker, clock } = this.#options
    const body = messageOf(notification)
    const signed = webhookHeaders(key, `msg_${notification.id}`, clock.wallMs(), body)
    const headers = { 'content-type': 'application/json', 'user-agent': 'holdfast', ...signed }
    try {
      const answer = await breaker.execute(
        (call) => client.post({ url, headers, body, signal: call.signal }),
        {
          signal,
        },
      )
      return webhookVerdict(answer, clock.wallMs())
    } catch (error) {
      return failureVerdict(error)
    }
  }
}

/** The same at every try. */
function messageOf({ kind, createdAt, tenantId, userId, payload }: Notification): string {
  return JSON.stringify({
    type: kind,
    timestamp: createdAt.toISOString(),
    tenant_id: tenantId,
    user_id: userId,
    data: payload,
  })
}
