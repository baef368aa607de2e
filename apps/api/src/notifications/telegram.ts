// Tells people by a bot, through an API in the form of Telegram's.

import type { CircuitBreaker } from '@holdfast/circuit-breaker'
import type { Secret } from '../secret.ts'
import { failureVerdict, telegramVerdict } from './answer-verdict.ts'
import type { Channel, Notification, Verdict } from './channel.ts'
import { notificationText } from './notification-text.ts'
import type { OutboundClient } from './outbound-client.ts'

/** What it is made of. */
export interface TelegramOptions {
  /** Where the API is; the token becomes a part of the path. */
  readonly apiUrl: URL
  readonly token: Secret
  /** Ids of chats. */
  readonly recipients: readonly string[]
  readonly client: Pick<OutboundClient, 'post'>
  readonly breaker: CircuitBreaker
}

/** The channel. */
export class Telegram implements Channel {
  readonly name = 'telegram'
  readonly recipients: readonly string[]
  readonly breaker: CircuitBreaker
  readonly #options: TelegramOptions

  constructor(options: TelegramOptions) {
    this.#options = options
    this.recipients = options.recipients
    this.breaker = options.breaker
  }

  async send(notification: Notification, signal: AbortSignal): Promise<Verdict> {
    const { apiUrl, token, client, breaker } = this.#options
    const base = apiUrl.href.replace(/\/$/, '')
    const url = new URL(`${base}/bot${token.reveal()}/sendMessage`)
    const body = JSON.stringify({
      chat_id: notification.recipient,
      // Plain: nothing in it is markup, whoever has written it.
      text: notificationText(notification),
      link_preview_options: { is_disabled: true },
    })
    const headers = { 'content-type': 'application/json', 'user-agent': 'holdfast' }
    try {
      const answer = await breaker.execute(
        (call) => client.post({ url, headers, body, signal: call.signal }),
        {
          signal,
        },
      )
      return telegramVerdict(answer)
    } catch (error) {
      return failureVerdict(error)
    }
  }
}
