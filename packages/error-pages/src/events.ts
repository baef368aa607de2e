import { channel } from 'node:diagnostics_channel'

/** Message on `holdfast:error-pages:failed`: a request ended with a fault of the service, and was logged as such. */
export interface FailedEvent {
  readonly status: number
  readonly correlationId: string
  /** What was thrown. */
  readonly error: unknown
}

/** Message on `holdfast:error-pages:unreadable`: something came that is no request, and its connection was ended. */
export interface UnreadableEvent {
  readonly status: number
  /** Node's code for what was wrong with it. */
  readonly code: string | undefined
  readonly correlationId: string
}

const failed = channel('holdfast:error-pages:failed')
const unreadable = channel('holdfast:error-pages:unreadable')

export function publishFailed(event: FailedEvent): void {
  if (failed.hasSubscribers) failed.publish(event)
}

export function publishUnreadable(event: UnreadableEvent): void {
  if (unreadable.hasSubscribers) unreadable.publish(event)
}
