/** The users who do something remarkable too often, as people see them: says in the log and on a channel who is flagged. */
import type { Clock } from '@holdfast/footing'
import { wallOf } from './block-info.ts'
import { publishFlag } from './events.ts'
import type { Log } from './log.ts'
import { inputs, MAX_REASON } from './options.ts'
import { type UserFlag, type UserSpikeSettings, UserSpikes } from './user-spikes.ts'

/** A flagged user, as people see it. */
export interface FlagInfo {
  readonly user: string
  readonly reason: string
  readonly events: number
  /** In ms since 1970. */
  readonly sinceMs: number
}

/** What users did. */
export interface UserSummary {
  readonly flagged: readonly FlagInfo[]
  /** Users counted at present. */
  readonly users: number
  readonly maxEvents: number
  readonly windowMs: number
}

const MAX_NAME = 255

/** The users of one application. What each method does is said at those of `AbuseGuard`. */
export class FlaggedUsers {
  readonly #settings: UserSpikeSettings
  readonly #spikes: UserSpikes
  readonly #clock: Clock
  readonly #log: Log

  constructor(settings: UserSpikeSettings, clock: Clock, log: Log) {
    this.#settings = settings
    this.#spikes = new UserSpikes(settings)
    this.#clock = clock
    this.#log = log
  }

  note(user: string, event: string): boolean {
    inputs.text('user', user, MAX_NAME)
    inputs.text('event', event, MAX_NAME)
    const flag = this.#spikes.note(user, event, this.#clock.nowMs())
    if (flag !== undefined) this.#tell(flag)
    return this.#spikes.flagOf(user) !== undefined
  }

  flag(user: string, reason: string): void {
    inputs.text('user', user, MAX_NAME)
    inputs.text('reason', reason, MAX_REASON)
    this.#tell(this.#spikes.flag(user, reason, this.#clock.nowMs()))
  }

  unflag(user: string): boolean {
    return this.#spikes.unflag(user)
  }

  flagOf(user: string): FlagInfo | undefined {
    const flag = this.#spikes.flagOf(user)
    return flag && this.#info(flag)
  }

  summary(): UserSummary {
    const { maxEvents, windowMs } = this.#settings
    const flagged = this.#spikes.flags().map((flag) => this.#info(flag))
    return { flagged, users: this.#spikes.users, maxEvents, windowMs }
  }

  counts(): { readonly counted: number; readonly flagged: number; readonly displaced: number } {
    const { users: counted, flagged, displaced } = this.#spikes
    return { counted, flagged, displaced }
  }

  #info({ user, reason, events, sinceMs }: UserFlag): FlagInfo {
    return { user, reason, events, sinceMs: wallOf(sinceMs, this.#clock) }
  }

  #tell({ user, reason, events }: UserFlag): void {
    publishFlag({ user, reason, events })
    this.#log.warn({ user, reason, events }, 'user flagged')
  }
}
