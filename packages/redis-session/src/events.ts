import diagnostics from 'node:diagnostics_channel'

/** Published when a session is made, replaced or ended. `session` is its name in lists, never its id. */
export interface SessionEvent {
  readonly session: string
  readonly userId: string | undefined
}

/** Published when this process finds Redis not usable, and when it is usable again. */
export interface OutageEvent {
  readonly state: 'began' | 'ended'
  /** Milliseconds since it began. */
  readonly forMs: number
  /** Ends of sessions of which Redis was not told yet. */
  readonly untold: number
}

/** Published for what deserves a look: nothing of it needs an answer. */
export interface OddityEvent {
  readonly what: OddityName
  readonly session: string | undefined
}

/** What deserves a look. */
export type OddityName =
  /** Two cookies of our name came with one request; it was anonymous. */
  | 'duplicate-cookie'
  /** A cookie was not sent, because the answer says that it is for everybody. */
  | 'cookie-on-public'
  /** What was kept says nobody that can be trusted; the request was anonymous. */
  | 'unreadable-session'
  /** A field of the data was not one any more; it was left out. */
  | 'dropped-field'
  /** A session has more data than `warnBytes`. */
  | 'large-session'
  /** What somebody may be is more than fits into the second cookie: an outage would sign him out. */
  | 'large-shadow'
  /** What was changed without Redis was not kept, because the session was changed elsewhere, or has ended. */
  | 'discarded-changes'
  /** A login without Redis was not kept: it had ended, or the user has too many sessions. */
  | 'discarded-login'
  /** The log of ends cannot be read or written. */
  | 'log-failed'
  /** The session ended under a request that wrote to it. */
  | 'gone'

/** The channels; a message is built only when somebody subscribed. */
export const channels = {
  login: diagnostics.channel('holdfast:redis-session:login'),
  elevate: diagnostics.channel('holdfast:redis-session:elevate'),
  logout: diagnostics.channel('holdfast:redis-session:logout'),
  revoke: diagnostics.channel('holdfast:redis-session:revoke'),
  outage: diagnostics.channel('holdfast:redis-session:outage'),
  oddity: diagnostics.channel('holdfast:redis-session:oddity'),
}
