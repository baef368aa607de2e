import { channel } from 'node:diagnostics_channel'
import type { Level } from './level-control.ts'

/** What an event is about: what people do, what the service does, what failed, how fast it was, what looks hostile. */
export const EVENT_TYPES = [
  'USER_ACTION',
  'SYSTEM_EVENT',
  'ERROR_EVENT',
  'PERFORMANCE_EVENT',
  'SECURITY_EVENT',
] as const

/** The type of an event. */
export type EventType = (typeof EVENT_TYPES)[number]

/** How loudly an event is told. */
export const EVENT_LEVELS = ['info', 'warn', 'error'] as const

/** The level of an event. */
export type EventLevel = (typeof EVENT_LEVELS)[number]

/** Message on `holdfast:logging:event`: an event was told, whether or not the level of the log lets it through. */
export interface ToldEvent {
  readonly type: EventType
  readonly event: string
  /** Of the request or job it belongs to. */
  readonly correlationId: string | undefined
  /** As it stands in the log, without secrets. */
  readonly line: Readonly<Record<string, unknown>>
}

/** Message on `holdfast:logging:level`: another level is in force. */
export interface LevelEvent {
  readonly level: Level
  /** When the configured one comes back, in ms since the Unix epoch; undefined where it is in force again. */
  readonly untilMs: number | undefined
}

const told = channel('holdfast:logging:event')
const level = channel('holdfast:logging:level')

export function publishEvent(event: ToldEvent): void {
  if (told.hasSubscribers) told.publish(event)
}

export function publishLevel(event: LevelEvent): void {
  if (level.hasSubscribers) level.publish(event)
}
