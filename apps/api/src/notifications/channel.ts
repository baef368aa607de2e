// The ways by which somebody is told something.

import type { CircuitBreaker, CircuitBreakerOptions } from '@holdfast/circuit-breaker'
import type { OutboundAnswer } from './outbound-client.ts'

export type ChannelName = 'webhook' | 'telegram'

/** What is to be told, to one recipient by one channel. */
export interface Notification {
  readonly id: string
  readonly kind: string
  readonly channel: ChannelName
  /** Null: the webhook. */
  readonly recipient: string | null
  readonly tenantId: string | null
  readonly userId: string | null
  /** Plain data. */
  readonly payload: unknown
  readonly createdAt: Date
}

/**
 * What became of a try. `retry`: another one may succeed, not before `afterMs` where somebody has said so. `dead`: none
 * will. `why` holds no secret.
 */
export type Verdict =
  | { readonly outcome: 'sent' }
  | { readonly outcome: 'retry'; readonly why: string; readonly afterMs?: number | undefined }
  | { readonly outcome: 'dead'; readonly why: string }

/** One way, to one service. */
export interface Channel {
  readonly name: ChannelName
  /** One row of the outbox for each. */
  readonly recipients: readonly (string | null)[]
  readonly breaker: Pick<CircuitBreaker, 'state' | 'retryAfterMs'>
  /** Never rejects. */
  send(notification: Notification, signal: AbortSignal): Promise<Verdict>
}

/** How many fail in a row before nobody is asked for two minutes. */
export const CHANNEL_BREAKER: CircuitBreakerOptions = {
  failureThreshold: 10,
  failureRate: Number.POSITIVE_INFINITY,
  openMs: 120_000,
  // From the look-up of the name to the end of the answer.
  timeoutMs: 10_000,
  // An answer of 5xx is a failure of theirs; that they want less is none, and every other answer shows that they live.
  classifyValue: (value) => {
    const { status } = value as OutboundAnswer
    if (status >= 500) return 'failure'
    return status === 429 || status === 408 ? 'ignored' : 'success'
  },
}
