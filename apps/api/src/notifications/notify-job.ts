// What a job of the queue `notify` says.

import { bigintOf } from '../db/bigint.ts'
import type { ChannelName } from './channel.ts'

/** As it is stored. */
export interface NotifyPayload {
  readonly notification_id: string
  readonly channel: ChannelName
  /** How often it was put off because nobody may be asked at the moment. */
  readonly postponed: number
}

/** Of one notification one job waits. */
export function jobKeyOf(notificationId: string): string {
  return `notification ${notificationId}`
}

/** The payload; throws for what is none. */
export function readNotifyPayload(payload: unknown): NotifyPayload {
  const { notification_id: id, channel, postponed } = Object(payload) as Readonly<Record<string, unknown>>
  if (typeof id !== 'string' || bigintOf(id) === undefined) {
    throw new TypeError(`notification_id must be the id of a notification, received ${shown(id)}`)
  }
  if (channel !== 'webhook' && channel !== 'telegram') {
    throw new TypeError(`channel must be webhook or telegram, received ${shown(channel)}`)
  }
  if (typeof postponed !== 'number' || !Number.isSafeInteger(postponed) || postponed < 0) {
    throw new TypeError(`postponed must be a whole number, received ${shown(postponed)}`)
  }
  return { notification_id: id, channel, postponed }
}

function shown(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 50)
}
