// What a provider told about a sport, saved in one transaction: events and odds in batches, results one step each.
//
// Guarantees: what is older never replaces what is newer, event by event; what is not newer touches no row; a selection
// that a newer word does not name any more is withdrawn; an event that is over stays as it is for good, and the job that
// settles it is put in by the transaction that says so. Rows are locked in one order, and whoever places a bet on an
// event that ends is waited for: settlement then sees his bet.
// An event that is heard of only when it is over is not kept: nobody can have bet on it.

import type { Transaction } from '@holdfast/pool-guard'
import type { ProviderEvent, ProviderFeed } from '../../provider/provider-feed.ts'

type Statements = Pick<Transaction, 'query'>

/** Where settlement gets its work from. */
export interface SettleQueue {
  enqueue(
    tx: Statements,
    queue: 'settle',
    payload: { readonly event_id: string; readonly provider_version: string },
    options: { readonly key: string },
  ): Promise<string | undefined>
}

/** Rows that were written. */
export interface SavedFeed {
  readonly events: number
  readonly odds: number
  readonly withdrawn: number
  readonly ended: number
}

const EVENTS_PER_STATEMENT = 500
const ODDS_PER_STATEMENT = 5000

/** Saves it. Errors are the driver's, the pool's or the queue's. */
export async function saveFeed(tx: Statements, feed: ProviderFeed, queue: SettleQueue): Promise<SavedFeed> {
  const { sport } = feed
  const inOrder = feed.events.toSorted((one, other) => (one.ref < other.ref ? -1 : 1))
  const saved = { events: 0, odds: 0, withdrawn: 0, ended: 0 }
  for (const events of batchesOf(inOrder.filter(isOpen), EVENTS_PER_STATEMENT)) {
    const newer = await saveEvents(tx, sport, events)
    saved.events += newer.size
    // One version says one thing: what comes with a version that is known already is not looked at.
    const told = events.filter(({ ref }) => newer.has(ref))
    if (told.length === 0) continue
    const offers = told.flatMap(({ ref, version, odds }) => odds.map((offer) => ({ ref, version, ...offer })))
    for (const batch of batchesOf(offers, ODDS_PER_STATEMENT)) saved.odds += await saveOdds(tx, sport, batch)
    saved.withdrawn += await withdraw(tx, sport, told)
  }
  for (const events of batchesOf(
    inOrder.filter((event) => !isOpen(event)),
    EVENTS_PER_STATEMENT,
  )) {
    for (const { id, provider_version } of await endEvents(tx, sport, events)) {
      saved.ended += 1
      await queue.enqueue(tx, 'settle', { event_id: id, provider_version }, { key: id })
    }
  }
  return saved
}

/** The references of those that were newer. */
async function saveEvents(
  tx: Statements,
  sport: string,
  events: readonly ProviderEvent[],
): Promise<ReadonlySet<string>> {
  // What is not newer is left out beforehand: a conflict that changes nothing would lock and write its row all the same.
  const { rows } = await tx.query<{ provider_ref: string }>(
    `insert into sport_events as event (sport, provider_ref, name, starts_at, status, provider_version)
     select $1, given.ref, given.name, given.starts_at, given.status, given.version
     from unnest($2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::bigint[])
       as given (ref, name, starts_at, status, version)
     left join sport_events as known on known.sport = $1 and known.provider_ref = given.ref
     where known.id is null or (known.provider_version < given.version and known.status in ('scheduled', 'live'))
     order by given.ref
     on conflict (sport, provider_ref) do update
       set name = excluded.name, starts_at = excluded.starts_at, status = excluded.status,
         provider_version = excluded.provider_version, changed_at = clock_timestamp()
       where event.provider_version < excluded.provider_version and event.status in ('scheduled', 'live')
     returning event.provider_ref`,
    [
      sport,
      events.map(({ ref }) => ref),
      events.map(({ name }) => name),
      events.map(({ startsAt }) => startsAt.toISOString()),
      events.map(({ status }) => status),
      events.map(({ version }) => version),
    ],
  )
  return new Set(rows.map(({ provider_ref: ref }) => ref))
}

interface Offer {
  readonly ref: string
  readonly version: number
  readonly market: string
  readonly selection: string
  readonly oddsMilli: number
}

async function saveOdds(tx: Statements, sport: string, offers: readonly Offer[]): Promise<number> {
  const { rowCount } = await tx.query(
    `insert into odds as offer (event_id, market, selection, odds_milli, provider_version)
     select event.id, given.market, given.selection, given.odds_milli, given.version
     from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[])
       as given (ref, market, selection, odds_milli, version)
     join sport_events as event on event.sport = $1 and event.provider_ref = given.ref
       and event.provider_version = given.version and event.status in ('scheduled', 'live')
     left join odds as known on known.event_id = event.id and known.market = given.market
       and known.selection = given.selection
     where known.event_id is null or known.provider_version < given.version
     order by event.id, given.market, given.selection
     on conflict (event_id, market, selection) do update
       set odds_milli = excluded.odds_milli, provider_version = excluded.provider_version,
         changed_at = clock_timestamp()
       where offer.provider_version < excluded.provider_version`,
    [
      sport,
      offers.map(({ ref }) => ref),
      offers.map(({ market }) => market),
      offers.map(({ selection }) => selection),
      offers.map(({ oddsMilli }) => oddsMilli),
      offers.map(({ version }) => version),
    ],
  )
  return rowCount ?? 0
}

async function withdraw(tx: Statements, sport: string, events: readonly ProviderEvent[]): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from odds using sport_events as event, unnest($2::text[], $3::bigint[]) as given (ref, version)
     where event.sport = $1 and event.provider_ref = given.ref and event.provider_version = given.version
       and event.status in ('scheduled', 'live')
       and odds.event_id = event.id and odds.provider_version < given.version`,
    [sport, events.map(({ ref }) => ref), events.map(({ version }) => version)],
  )
  return rowCount ?? 0
}

/** Those that were open until now. */
async function endEvents(
  tx: Statements,
  sport: string,
  events: readonly ProviderEvent[],
): Promise<readonly { readonly id: string; readonly provider_version: string }[]> {
  const { rows } = await tx.query<{ id: string; provider_version: string }>(
    `with over as (
       select event.id, given.status, given.result, given.version
       from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) as given (ref, status, result, version)
       join sport_events as event on event.sport = $1 and event.provider_ref = given.ref
       where event.status in ('scheduled', 'live') and event.provider_version < given.version
       order by event.id
       for update of event
     )
     update sport_events as event
     set status = over.status, result = over.result::jsonb, provider_version = over.version,
       changed_at = clock_timestamp()
     from over where event.id = over.id
     returning event.id, event.provider_version`,
    [
      sport,
      events.map(({ ref }) => ref),
      events.map(({ status }) => status),
      events.map(({ result }) => (result === undefined ? null : JSON.stringify(result))),
      events.map(({ version }) => version),
    ],
  )
  return rows
}

function isOpen({ status }: ProviderEvent): boolean {
  return status === 'scheduled' || status === 'live'
}

function batchesOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  )
}
