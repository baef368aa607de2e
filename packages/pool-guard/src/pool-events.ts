import diagnostics from 'node:diagnostics_channel'
import type { LeakReport } from './leak-watch.ts'

/** What a connection pool tells, each on `holdfast:pool-guard:<kind>` and to `onEvent`. */
export type PoolEvent =
  /** A client is held for longer than `leakAfterMs`. */
  | ({ readonly kind: 'leak' } & LeakReport)
  /** A client that was reported came back. */
  | ({ readonly kind: 'returned-late' } & LeakReport)
  /** A client was released inside a transaction or while a statement ran; both were ended. */
  | {
      readonly kind: 'dirty-release'
      readonly state: 'querying' | 'idle in transaction'
      readonly route?: string | undefined
      readonly tenant?: string | undefined
      readonly stack?: string | undefined
    }
  /** A connection broke. `inUse`: somebody had it. */
  | {
      readonly kind: 'connection-lost'
      readonly inUse: boolean
      readonly reason: string
      readonly sqlState?: string | undefined
    }
  | { readonly kind: 'connect-failed'; readonly reason: string; readonly sqlState?: string | undefined }
  /** A CancelRequest was sent, or could not be, and the connection was destroyed. */
  | { readonly kind: 'cancel'; readonly result: 'cancelled' | 'finished' | 'destroyed' }

const channels: Readonly<Record<PoolEvent['kind'], diagnostics.Channel>> = {
  leak: diagnostics.channel('holdfast:pool-guard:leak'),
  'returned-late': diagnostics.channel('holdfast:pool-guard:returned-late'),
  'dirty-release': diagnostics.channel('holdfast:pool-guard:dirty-release'),
  'connection-lost': diagnostics.channel('holdfast:pool-guard:connection-lost'),
  'connect-failed': diagnostics.channel('holdfast:pool-guard:connect-failed'),
  cancel: diagnostics.channel('holdfast:pool-guard:cancel'),
}

/** Publishes an event on its channel. */
export function publishPoolEvent(event: PoolEvent): void {
  const channel = channels[event.kind]
  if (channel.hasSubscribers) channel.publish(event)
}
