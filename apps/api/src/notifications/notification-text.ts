// A notification as a person reads it.

import type { Notification } from './channel.ts'

/** The bot API takes no longer message. */
const MAX_TEXT = 4096
const MAX_LINE = 500

/** What it is about, each member of the payload on a line of its own, as far as there is room, and last of all the time. */
export function notificationText({
  kind,
  payload,
  createdAt,
}: Pick<Notification, 'kind' | 'payload' | 'createdAt'>): string {
  const members =
    typeof payload === 'object' && payload !== null ? Object.entries(payload) : [['data', payload]]
  const lines = members.map(([name, value]) => `${name}: ${shown(value)}`.slice(0, MAX_LINE))
  const time = `\n${createdAt.toISOString()}`
  const text = [kind, ...lines].join('\n').slice(0, MAX_TEXT - time.length)
  return `${text}${time}`.toWellFormed()
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
