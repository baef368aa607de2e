import { channel } from 'node:diagnostics_channel'
import type { Mode, Scope } from './rule.ts'
import type { Change } from './state.ts'

/** Message on `holdfast:maintenance:changed`: this process keeps to another state. */
export interface ChangedEvent {
  readonly version: number
  readonly change: Change | undefined
  /** Whether another process made the change, or a start found it. */
  readonly learnt: boolean
}

/** Message on `holdfast:maintenance:begun` and `:ended`: a rule holds here from now on, or does not any more. */
export interface RuleEvent {
  readonly id: string
  readonly mode: Mode
  readonly scope: Scope
}

/** Message on `holdfast:maintenance:refused`: a request was refused. */
export interface RefusedEvent {
  readonly id: string
  readonly mode: Mode
  readonly method: string
  /** The pattern of the route; undefined where there is none. */
  readonly path: string | undefined
}

const channels = {
  changed: channel('holdfast:maintenance:changed'),
  begun: channel('holdfast:maintenance:begun'),
  ended: channel('holdfast:maintenance:ended'),
  refused: channel('holdfast:maintenance:refused'),
}

export function publishChanged(event: ChangedEvent): void {
  if (channels.changed.hasSubscribers) channels.changed.publish(event)
}

export function publishBegun(event: RuleEvent): void {
  if (channels.begun.hasSubscribers) channels.begun.publish(event)
}

export function publishEnded(event: RuleEvent): void {
  if (channels.ended.hasSubscribers) channels.ended.publish(event)
}

export function publishRefused(event: RefusedEvent): void {
  if (channels.refused.hasSubscribers) channels.refused.publish(event)
}
