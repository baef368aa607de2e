// Sports, events and odds in PostgreSQL.

import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { ApiEventUnknownError } from '../../errors.ts'
import type { EventPlace, OddsPlace, StoredEvent, StoredOdds, StoredSport } from './sports.ts'

/** Those of which the lists are, and which their indexes hold. */
const OPEN = sql<boolean>`status in ('scheduled', 'live')`
const START_MICROS = sql<string>`(extract(epoch from starts_at) * 1000000)::bigint`

/** Reads what can be bet on. Errors that are not mentioned are the driver's or the pool's. */
export class SportRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /** The sports that have an event that is not over, by name, after `after`, at most `limit`. */
  async sports(after: string, limit: number): Promise<StoredSport[]> {
    const { rows } = await sportsAfter(after, limit).execute(this.#db)
    return rows
  }

  /** The events that are not over, of a sport or of all, after `after`, those that start first, at most `limit`. */
  events(sport: string | undefined, after: EventPlace | undefined, limit: number): Promise<StoredEvent[]> {
    return eventsAfter(this.#db, sport, after, limit).execute()
  }

  /**
   * An event and its odds after `after`, in the order of their names, at most `limit`.
   * @throws {ApiEventUnknownError}
   */
  async odds(
    eventId: bigint,
    after: OddsPlace,
    limit: number,
  ): Promise<{ readonly event: StoredEvent; readonly odds: readonly StoredOdds[] }> {
    const rows = await oddsAfter(this.#db, eventId, after, limit).execute()
    const [first] = rows
    if (first === undefined) throw new ApiEventUnknownError()
    const { id, sport, name, startsAt, startMicros, status } = first
    const odds = rows.flatMap(({ market, selection, oddsMilli, changedAt }) =>
      market === null || selection === null || oddsMilli === null || changedAt === null
        ? []
        : [{ market, selection, oddsMilli, changedAt }],
    )
    return { event: { id, sport, name, startsAt, startMicros, status }, odds }
  }
}

/** From one sport to the next, each found by the index: as many steps as there are sports, however many events. */
export function sportsAfter(after: string, limit: number) {
  return sql<StoredSport>`
    with recursive step (sport, starts_at, number) as (
      (
        select sport, starts_at, 1 from sport_events
        where ${OPEN} and sport > ${after} order by sport, starts_at, id limit 1
      )
      union all
      select next.sport, next.starts_at, step.number + 1
      from step cross join lateral (
        select sport, starts_at from sport_events
        where ${OPEN} and sport > step.sport order by sport, starts_at, id limit 1
      ) as next
      where step.number < ${limit}::integer
    )
    select sport, starts_at as "firstStartsAt" from step order by sport`
}

export function eventsAfter(
  db: Kysely<Database>,
  sport: string | undefined,
  after: EventPlace | undefined,
  limit: number,
) {
  return db
    .selectFrom('sport_events')
    .where(OPEN)
    .$if(sport !== undefined, (query) => query.where('sport', '=', sport ?? ''))
    .$if(after !== undefined, (query) =>
      query.where(
        sql<boolean>`(starts_at, id) > (
          timestamptz 'epoch' + ${String(after?.startMicros)}::bigint * interval '1 microsecond',
          ${String(after?.id)}::bigint
        )`,
      ),
    )
    .select(['id', 'sport', 'name', 'starts_at as startsAt', 'status', START_MICROS.as('startMicros')])
    .orderBy('starts_at')
    .orderBy('id')
    .limit(limit)
}

export function oddsAfter(
  db: Kysely<Database>,
  eventId: bigint,
  { market, selection }: OddsPlace,
  limit: number,
) {
  return db
    .selectFrom('sport_events')
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('odds')
          .whereRef('odds.event_id', '=', 'sport_events.id')
          .where(sql<boolean>`(odds.market, odds.selection) > (${market}, ${selection})`)
          .select(['market', 'selection', 'odds_milli as oddsMilli', 'odds.changed_at as changedAt'])
          .orderBy('market')
          .orderBy('selection')
          .limit(limit)
          .as('offer'),
      (join) => join.onTrue(),
    )
    .where('sport_events.id', '=', String(eventId))
    .select([
      'sport_events.id',
      'sport',
      'name',
      'starts_at as startsAt',
      'status',
      START_MICROS.as('startMicros'),
      'offer.market',
      'offer.selection',
      'offer.oddsMilli',
      'offer.changedAt',
    ])
    .orderBy('offer.market')
    .orderBy('offer.selection')
}
