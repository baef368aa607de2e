import diagnostics from 'node:diagnostics_channel'
import type { Claim } from './claim.ts'
import type { Refusal } from './refusal.ts'

/** Published on `holdfast:tenant-rate-limit:refused` when a request is over a limit, whatever it is answered. */
export interface RefusedEvent {
  /** `GET /theme`. */
  readonly route: string
  /** The buckets it would have drawn on. */
  readonly claims: readonly Claim[]
  readonly refusal: Refusal
}

/** Published on `holdfast:tenant-rate-limit:updated` when the policies were replaced. */
export interface UpdatedEvent {
  readonly version: number
}

const channels = {
  refused: diagnostics.channel('holdfast:tenant-rate-limit:refused'),
  updated: diagnostics.channel('holdfast:tenant-rate-limit:updated'),
}

/** A message is built only when somebody has subscribed. */
export function reportRefused(route: string, claims: readonly Claim[], refusal: Refusal): void {
  if (channels.refused.hasSubscribers) {
    channels.refused.publish({ route, claims, refusal } satisfies RefusedEvent)
  }
}

/** A message is built only when somebody has subscribed. */
export function reportUpdated(version: number): void {
  if (channels.updated.hasSubscribers) channels.updated.publish({ version } satisfies UpdatedEvent)
}
