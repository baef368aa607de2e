// A notification as a person reads it.

import type { Notification } from './channel.ts'

/** The bot API takes no longer message. */
const MAX_TEXT = 4096
const MAX_LINE = 500

/** What it is about, and each member of the payload on a line of its own. */
export function notificationText({
  kind,
  payload,
  createdAt,
}: Pick<Notification, 'kind' | 'payload' | 'createdAt'>): string {
  const members =
    typeof payload === 'object' && payload !== null ? Object.entries(payload) : [['data', payload]]
  const lines = members.map(([name, value]) => `${name}: ${shown(value)}`.slice(0, MAX_LINE))
  const text = [kind, ...lines, createdAt.toISOString()].join('\n')
  return text.slice(0, MAX_TEXT).toWellFormed()
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
