import diagnostics from 'node:diagnostics_channel'
import type { RedisState } from './redis-guard.ts'

/** Published on `holdfast:redis-guard:state` at every change of the state. */
export interface StateEvent {
  readonly from: RedisState
  readonly to: RedisState
  readonly reason: string | undefined
}

/** Published on `holdfast:redis-guard:handler-error` when a handler of a channel throws. */
export interface HandlerErrorEvent {
  readonly channel: string
  readonly error: unknown
}

const channels = {
  state: diagnostics.channel('holdfast:redis-guard:state'),
  handlerError: diagnostics.channel('holdfast:redis-guard:handler-error'),
}

/** A message is built only when somebody has subscribed. */
export function reportState(from: RedisState, to: RedisState, reason: string | undefined): void {
  if (channels.state.hasSubscribers) channels.state.publish({ from, to, reason } satisfies StateEvent)
}

/** A message is built only when somebody has subscribed. */
export function reportHandlerError(channel: string, error: unknown): void {
  if (channels.handlerError.hasSubscribers) {
    channels.handlerError.publish({ channel, error } satisfies HandlerErrorEvent)
  }
}
