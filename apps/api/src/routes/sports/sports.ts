// What can be bet on, and how the routes tell it.

import { type Page, pageBy } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import { ApiCursorInvalidError } from '../../errors.ts'

/** A sport in which something can be bet on. */
export interface SportItem {
  readonly sport: string
  /** Of the event of it that starts first, or goes on for the longest time; RFC 3339. */
  readonly first_starts_at: string
}

/** An event that is to come, or goes on. */
export interface EventItem {
  readonly id: string
  readonly sport: string
  readonly name: string
  /** RFC 3339. */
  readonly starts_at: string
  readonly status: 'scheduled' | 'live' | 'finished' | 'void'
}

/** What a selection pays. */
export interface OddsItem {
  readonly market: string
  readonly selection: string
  /** Thousandths of the stake. */
  readonly odds_milli: number
  /** RFC 3339. */
  readonly changed_at: string
}

/** What `GET /api/events/:id/odds` answers. */
export interface EventOdds extends Page<OddsItem> {
  readonly event: EventItem
}

/** A sport as it is stored. */
export interface StoredSport {
  readonly sport: string
  readonly firstStartsAt: Date
}

/** An event as it is stored. */
export interface StoredEvent {
  readonly id: string
  readonly sport: string
  readonly name: string
  readonly startsAt: Date
  /** Microseconds since 1970: what the list is in the order of. */
  readonly startMicros: string
  readonly status: EventItem['status']
}

/** Odds as they are stored. */
export interface StoredOdds {
  readonly market: string
  readonly selection: string
  readonly oddsMilli: number
  readonly changedAt: Date
}

/** Where a page of events begins: after the event with this start and this id. */
export interface EventPlace {
  readonly startMicros: bigint
  readonly id: bigint
}

/** Where a page of odds begins: after this selection of this market. */
export interface OddsPlace {
  readonly market: string
  readonly selection: string
}

/** Up to the year 2255, and exact in every number that it passes. */
const MAX_MICROS = BigInt(Number.MAX_SAFE_INTEGER)
const NAME = /^[a-z][a-z0-9_]{0,39}$/
const SELECTION = /^[a-z0-9][a-z0-9_]{0,39}$/

export function sportList(rows: readonly StoredSport[], limit: number): Page<SportItem> {
  return pageBy(rows, limit, sportItem, ({ sport }) => sport)
}

export function eventList(rows: readonly StoredEvent[], limit: number): Page<EventItem> {
  return pageBy(rows, limit, eventItem, ({ startMicros, id }) => `${startMicros}.${id}`)
}

export function eventOdds(event: StoredEvent, rows: readonly StoredOdds[], limit: number): EventOdds {
  const page = pageBy(rows, limit, oddsItem, ({ market, selection }) => `${market}.${selection}`)
  return { event: eventItem(event), ...page }
}

/** The sport after which the page of this cursor begins; every name is larger than the empty one. */
export function sportAfterCursor(cursor: string | undefined): string {
  if (cursor === undefined) return ''
  return NAME.test(cursor) ? cursor : refuseCursor()
}

/** @throws {ApiCursorInvalidError} */
export function eventAfterCursor(cursor: string | undefined): EventPlace | undefined {
  if (cursor === undefined) return undefined
  const [micros = '', idText = '', ...rest] = cursor.split('.')
  const id = bigintOf(idText)
  if (!/^\d{1,16}$/.test(micros) || id === undefined || rest.length > 0) return refuseCursor()
  const startMicros = BigInt(micros)
  return startMicros <= MAX_MICROS ? { startMicros, id } : refuseCursor()
}

/** @throws {ApiCursorInvalidError} */
export function oddsAfterCursor(cursor: string | undefined): OddsPlace {
  if (cursor === undefined) return { market: '', selection: '' }
  const [market = '', selection = '', ...rest] = cursor.split('.')
  return NAME.test(market) && SELECTION.test(selection) && rest.length === 0
    ? { market, selection }
    : refuseCursor()
}

function sportItem({ sport, firstStartsAt }: StoredSport): SportItem {
  return { sport, first_starts_at: firstStartsAt.toISOString() }
}

function eventItem({ id, sport, name, startsAt, status }: StoredEvent): EventItem {
  return { id, sport, name, starts_at: startsAt.toISOString(), status }
}

function oddsItem({ market, selection, oddsMilli, changedAt }: StoredOdds): OddsItem {
  return { market, selection, odds_milli: oddsMilli, changed_at: changedAt.toISOString() }
}

function refuseCursor(): never {
  throw new ApiCursorInvalidError()
}
