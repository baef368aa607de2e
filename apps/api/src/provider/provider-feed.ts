// What a provider of odds answers for a sport, looked over before anything is done with it: nothing of it is believed.
//
// Guarantees: what comes out fits the tables; an event that is wrong anywhere is left out as a whole, and takes no other
// with it; of two events with one reference neither is believed; members that are not known are not looked at. Never throws
// for what was received: `undefined` means that it is no feed at all.

/** What becomes of an event. */
export type EventStatus = 'scheduled' | 'live' | 'finished' | 'void'

/** What a selection pays. */
export interface ProviderOdds {
  readonly market: string
  readonly selection: string
  /** Thousandths of the stake. */
  readonly oddsMilli: number
}

/** An event as a provider tells it, looked over. */
export interface ProviderEvent {
  /** What the provider calls it. */
  readonly ref: string
  readonly name: string
  readonly startsAt: Date
  readonly status: EventStatus
  /** Grows with every change of the event. */
  readonly version: number
  /** Each selection of a market once. None when the event is over. */
  readonly odds: readonly ProviderOdds[]
  /** The selection that won in each market; of finished events only. */
  readonly result: Readonly<Record<string, string>> | undefined
}

/** An event that is not believed. */
export interface RefusedEvent {
  /** Where it stood in the list, from 0. */
  readonly at: number
  /** What the provider calls it; undefined when that is no name. */
  readonly ref: string | undefined
  readonly why: string
}

/** All that a provider tells about a sport. */
export interface ProviderFeed {
  readonly sport: string
  readonly events: readonly ProviderEvent[]
  /** The first of those that are not believed. */
  readonly refused: readonly RefusedEvent[]
  /** How many are not believed. */
  readonly refusedCount: number
}

export const MAX_EVENTS = 1000
export const MAX_ODDS = 50
const MAX_RESULT_MARKETS = 50
const MAX_REFUSED_TOLD = 10
const MAX_NAME_LENGTH = 200
const MIN_ODDS_MILLI = 1001
const MAX_ODDS_MILLI = 1_000_000
const FIRST_START_MS = Date.UTC(2000, 0, 1)
const LAST_START_MS = Date.UTC(2200, 0, 1)
/** How far a result may come before the start, for clocks that differ. */
const CLOCK_ROOM_MS = 60_000

export const SPORT = /^[a-z][a-z0-9_]{0,39}$/
const MARKET = SPORT
const SELECTION = /^[a-z0-9][a-z0-9_]{0,39}$/
const REF = /^[!-~]{1,100}$/
const RFC_3339 = /^\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
const UNREADABLE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u
const STATUSES: readonly EventStatus[] = ['scheduled', 'live', 'finished', 'void']

/** The feed of `sport` out of the document that was received at `wallMs`; undefined when it is none. */
export function readFeed(document: unknown, sport: string, wallMs: number): ProviderFeed | undefined {
  const { sport: told, events: given } = membersOf(document)
  if (told !== sport || !Array.isArray(given) || given.length > MAX_EVENTS) return undefined
  const refused: RefusedEvent[] = []
  const events = new Map<string, { readonly at: number; readonly event: ProviderEvent }>()
  const twice = new Set<string>()
  for (const [at, each] of given.entries()) {
    const event = readEvent(each, wallMs)
    if (typeof event === 'string') refused.push({ at, ref: refOf(each), why: event })
    else if (events.has(event.ref) || twice.has(event.ref)) {
      twice.add(event.ref)
      refused.push({ at, ref: event.ref, why: 'has the id of another one' })
    } else events.set(event.ref, { at, event })
  }
  for (const ref of twice) {
    const first = events.get(ref)
    if (first !== undefined) refused.push({ at: first.at, ref, why: 'has the id of another one' })
    events.delete(ref)
  }
  return {
    sport,
    events: [...events.values()].map(({ event }) => event),
    refused: refused.slice(0, MAX_REFUSED_TOLD),
    refusedCount: refused.length,
  }
}

/** The event, or why it is not believed. */
function readEvent(given: unknown, wallMs: number): ProviderEvent | string {
  const { id, name, starts_at, status, version, odds = [], result } = membersOf(given)
  if (!isRef(id)) return 'id is no text of 1 to 100 visible characters'
  if (!isName(name)) return `name is no line of 1 to ${MAX_NAME_LENGTH} characters`
  const startsAtMs = typeof starts_at === 'string' ? momentOf(starts_at) : Number.NaN
  if (!(startsAtMs >= FIRST_START_MS && startsAtMs < LAST_START_MS)) return 'starts_at is no time of RFC 3339'
  const known = STATUSES.find((each) => each === status)
  if (known === undefined) return `status is none of ${STATUSES.join(', ')}`
  if (!isVersion(version)) return 'version is no whole number from 0'
  const offered = readOdds(odds)
  if (typeof offered === 'string') return offered
  if (known !== 'finished') {
    if (result !== undefined && result !== null) return `result is there, and the event is ${known}`
    return {
      ref: id,
      name,
      startsAt: new Date(startsAtMs),
      status: known,
      version,
      odds: known === 'void' ? [] : offered,
      result: undefined,
    }
  }
  if (startsAtMs > wallMs + CLOCK_ROOM_MS) return 'is finished before it has started'
  const won = readResult(result)
  if (won === undefined) return 'result does not name one selection for each of its markets'
  return { ref: id, name, startsAt: new Date(startsAtMs), status: known, version, odds: [], result: won }
}

function readOdds(given: unknown): readonly ProviderOdds[] | string {
  if (!Array.isArray(given) || given.length > MAX_ODDS) return `odds is no list of at most ${MAX_ODDS}`
  const seen = new Set<string>()
  const found: ProviderOdds[] = []
  for (const each of given) {
    const { market, selection, odds } = membersOf(each)
    if (typeof market !== 'string' || !MARKET.test(market)) return 'a market of odds has no name'
    if (typeof selection !== 'string' || !SELECTION.test(selection)) return 'a selection of odds has no name'
    const oddsMilli = typeof odds === 'number' ? Math.round(odds * 1000) : Number.NaN
    if (!(oddsMilli >= MIN_ODDS_MILLI && oddsMilli <= MAX_ODDS_MILLI))
      return 'odds are not from 1.001 to 1000'
    const key = `${market} ${selection}`
    if (seen.has(key)) return 'odds name a selection twice'
    seen.add(key)
    found.push({ market, selection, oddsMilli })
  }
  return found
}

function readResult(given: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined
  const entries = Object.entries(given as Readonly<Record<string, unknown>>)
  if (entries.length > MAX_RESULT_MARKETS) return undefined
  const named = entries.flatMap(([market, selection]) =>
    MARKET.test(market) && typeof selection === 'string' && SELECTION.test(selection)
      ? [[market, selection] as const]
      : [],
  )
  return named.length === entries.length ? Object.fromEntries(named) : undefined
}

/** The members of an object or list; those of anything else are none. */
function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

/** Milliseconds since 1970; NaN for what is no moment, such as 30 February, of which `Date` makes one of March. */
function momentOf(text: string): number {
  if (!RFC_3339.test(text)) return Number.NaN
  const day = Date.parse(text.slice(0, 10))
  const isDay = !Number.isNaN(day) && new Date(day).toISOString().startsWith(text.slice(0, 10))
  return isDay ? Date.parse(text) : Number.NaN
}

function refOf(given: unknown): string | undefined {
  const { id } = membersOf(given)
  return isRef(id) ? id : undefined
}

function isRef(value: unknown): value is string {
  return typeof value === 'string' && REF.test(value)
}

function isName(value: unknown): value is string {
  if (typeof value !== 'string' || value.trim() === '' || value.length > 2 * MAX_NAME_LENGTH) return false
  return [...value].length <= MAX_NAME_LENGTH && value.isWellFormed() && !UNREADABLE.test(value)
}

function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
