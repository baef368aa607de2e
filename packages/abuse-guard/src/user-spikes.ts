/**
 * Users who do something remarkable too often. Events of a user are counted within a window that slides; from
 * `maxEvents` on the user is flagged, with a reason that names the events. Bounded: a user who has not been flagged and
 * did least makes room when there are too many, and the names of events of a user are few.
 */
import { WindowCounts } from './window-counts.ts'

/** The limits. */
export interface UserSpikeSettings {
  /** So many events within the window flag a user. */
  readonly maxEvents: number
  readonly windowMs: number
  /** Users that are counted at one time. */
  readonly maxUsers: number
  /** Users that are flagged at one time; the oldest flag makes room. */
  readonly maxFlagged: number
}

/** Why a user is flagged. Times are of the monotonic clock. */
export interface UserFlag {
  readonly user: string
  readonly reason: string
  readonly sinceMs: number
  /** Events in the window when the flag was set. */
  readonly events: number
}

interface Counted {
  readonly entry: number
  /** The names of the events that are counted apart; each has a place. */
  readonly kinds: string[]
}

/** Kinds of events that are counted apart for each user. The place behind them is that of all others. */
const MAX_KINDS = 4
const PLACES = MAX_KINDS + 1
const SAMPLED = 8
const OTHERS = 'others'

/** The events and flags of users. */
export class UserSpikes {
  readonly #settings: UserSpikeSettings
  readonly #counts: WindowCounts
  /** By the entry of the user and the place of the event. */
  readonly #kinds: WindowCounts
  /** In the order of their last event, the longest ago first. */
  readonly #users = new Map<string, Counted>()
  readonly #free: number[]
  readonly #flags = new Map<string, UserFlag>()
  #displaced = 0

  constructor(settings: UserSpikeSettings) {
    this.#settings = settings
    this.#counts = new WindowCounts(settings.maxUsers, settings.windowMs)
    this.#kinds = new WindowCounts(settings.maxUsers * PLACES, settings.windowMs)
    this.#free = Array.from({ length: settings.maxUsers }, (_, at) => settings.maxUsers - 1 - at)
  }

  get users(): number {
    return this.#users.size
  }

  get flagged(): number {
    return this.#flags.size
  }

  /** Users who were forgotten for lack of room. */
  get displaced(): number {
    return this.#displaced
  }

  /** Counts an event; answers the flag when this event made one. */
  note(user: string, event: string, nowMs: number): UserFlag | undefined {
    const { maxEvents, windowMs, maxUsers } = this.#settings
    if (maxUsers === 0) return undefined
    const counted = this.#users.get(user) ?? this.#admit(nowMs)
    // To the end of the order.
    this.#users.delete(user)
    this.#users.set(user, counted)
    this.#kinds.add(counted.entry * PLACES + this.#place(counted, event, nowMs), 1, nowMs)
    const events = this.#counts.add(counted.entry, 1, nowMs)
    if (events < maxEvents || this.#flags.has(user)) return undefined
    const listed = this.#listed(counted, nowMs)
    return this.flag(user, `${events} events within ${windowMs / 1000} s: ${listed}`, nowMs, events)
  }

  /** Flags a user, whatever was counted. */
  flag(user: string, reason: string, nowMs: number, events = this.events(user, nowMs)): UserFlag {
    const flag = { user, reason, sinceMs: nowMs, events }
    this.#flags.delete(user)
    this.#flags.set(user, flag)
    if (this.#flags.size > this.#settings.maxFlagged) {
      const [oldest] = this.#flags.keys()
      if (oldest !== undefined) this.#flags.delete(oldest)
    }
    return flag
  }

  /** Takes a flag away and counts from 0 again; false when there was none. */
  unflag(user: string): boolean {
    const counted = this.#users.get(user)
    if (counted !== undefined) this.#remove(user, counted)
    return this.#flags.delete(user)
  }

  flagOf(user: string): UserFlag | undefined {
    return this.#flags.get(user)
  }

  /** Events of a user within the window. */
  events(user: string, nowMs: number): number {
    const counted = this.#users.get(user)
    return counted === undefined ? 0 : this.#counts.total(counted.entry, nowMs)
  }

  /** All flags, the latest first. */
  flags(): UserFlag[] {
    return [...this.#flags.values()].reverse()
  }

  #admit(nowMs: number): Counted {
    let entry = this.#free.pop()
    if (entry === undefined) {
      this.#makeRoom(nowMs)
      entry = this.#free.pop() ?? 0
    }
    return { entry, kinds: [] }
  }

  /** The place of an event: its own, one whose event is longer ago than the window, or that of all others. */
  #place({ entry, kinds }: Counted, event: string, nowMs: number): number {
    const own = kinds.indexOf(event)
    if (own !== -1) return own
    for (let place = 0; place < MAX_KINDS; place += 1) {
      if (place < kinds.length && this.#kinds.total(entry * PLACES + place, nowMs) > 0) continue
      kinds[place] = event
      return place
    }
    return MAX_KINDS
  }

  /** How often each event happened within the window, the most frequent first. */
  #listed({ entry, kinds }: Counted, nowMs: number): string {
    const counts = Array.from({ length: PLACES }, (_, place) => ({
      name: kinds[place] ?? OTHERS,
      count: this.#kinds.total(entry * PLACES + place, nowMs),
    }))
    return counts
      .filter(({ count }) => count > 0)
      .sort((one, other) => other.count - one.count)
      .map(({ name, count }) => `${name} ${count}`)
      .join(', ')
  }

  /** Among those whose last event is longest ago, who did least goes; the others of them get another turn. */
  #makeRoom(nowMs: number): void {
    const sample: [user: string, counted: Counted, count: number][] = []
    for (const [user, counted] of this.#users) {
      sample.push([user, counted, this.#counts.total(counted.entry, nowMs)])
      if (sample.length === SAMPLED) break
    }
    sample.sort(([, , one], [, , other]) => one - other)
    for (const [at, [user, counted, count]] of sample.entries()) {
      if (at === 0) {
        this.#remove(user, counted)
        if (count > 0) this.#displaced += 1
      } else if (count > 1) {
        this.#users.delete(user)
        this.#users.set(user, counted)
      }
    }
  }

  #remove(user: string, counted: Counted): void {
    this.#users.delete(user)
    this.#counts.clear(counted.entry)
    for (let place = 0; place < PLACES; place += 1) this.#kinds.clear(counted.entry * PLACES + place)
    this.#free.push(counted.entry)
  }
}
