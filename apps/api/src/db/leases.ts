// One owner at a time for each name, kept in PostgreSQL: bots that trade, sports whose odds somebody fetches.
//
// Guarantees: a name is given to nobody while its lease runs, by the clock of the database, and whoever gets it gets a
// fence larger than all that were given before. A write that calls `Lease.hold(tx)` in its transaction is made by the
// owner or not at all: until it has committed nobody can take the lease over. All leases of a process are renewed by
// one statement, every third of their time.
// Does not guarantee that the owner still owns what it works on between two writes: it learns that it was too slow from
// the signal, or from the next write.

import { type Clock, systemClock } from '@holdfast/footing'
import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import { ApiLeaseLostError } from '../errors.ts'

/** How leases are kept. */
export interface LeasesOptions {
  readonly pool: Pick<PoolGuard, 'query'>
  /** Differs in every process. */
  readonly owner: string
  /** From the grant, or the last renewal, until others may have it, in ms. Default 15,000. */
  readonly leaseMs?: number
  readonly clock?: Clock
}

const DEFAULT_LEASE_MS = 15_000
/** One statement, and without it somebody else begins anew what goes on here: it must not wait for those who only read. */
const KEPT = { criticality: 'critical', route: 'leases' } as const
const BEATS_PER_LEASE = 3
/** One process has no more at once: what it cannot do in time others should. */
export const MAX_LEASES = 1000

interface LeaseRow {
  readonly name: string
  readonly fence: string
}

// In one order, so that two who want the same never wait for each other. The fence of a row that was there is drawn when the
// row is ours: whoever has waited for it would bring one from before, smaller than that of whom he has waited for.
const TAKE = `insert into leases (name, owner, fence, expires_at)
  select name, $2, nextval('lease_fences'), clock_timestamp() + $3 * interval '1 millisecond'
  from unnest($1::text[]) as name order by name
  on conflict (name) do update
    set owner = excluded.owner, fence = nextval('lease_fences'),
      expires_at = clock_timestamp() + $3 * interval '1 millisecond'
    where leases.expires_at <= clock_timestamp()
  returning name, fence`

const TAKE_KNOWN = `with free as (
    select name from leases where name = any($1::text[]) and expires_at <= clock_timestamp() order by name for update
  )
  update leases
  set owner = $2, fence = nextval('lease_fences'), expires_at = clock_timestamp() + $3 * interval '1 millisecond'
  from free where leases.name = free.name
  returning leases.name, fence`

/** What a process owns. */
export class Leases {
  readonly #pool: Pick<PoolGuard, 'query'>
  readonly #owner: string
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #held = new Map<string, Lease>()
  #cancelBeat: (() => void) | undefined
  #closed = false

  constructor({ pool, owner, leaseMs = DEFAULT_LEASE_MS, clock = systemClock }: LeasesOptions) {
    this.#pool = pool
    this.#owner = owner
    this.#leaseMs = leaseMs
    this.#clock = clock
  }

  /** What this process owns, as far as it knows. */
  get held(): readonly Lease[] {
    return [...this.#held.values()]
  }

  /** Takes those of the names that nobody owns, at most as many as there is room for. Rejects as the pool does. */
  take(names: readonly string[]): Promise<Lease[]> {
    return this.#take(names, TAKE)
  }

  /** The same of names that are known: what whoever keeps the list has taken off it meanwhile is not put on it again. */
  takeKnown(names: readonly string[]): Promise<Lease[]> {
    return this.#take(names, TAKE_KNOWN)
  }

  async #take(names: readonly string[], statement: string): Promise<Lease[]> {
    const wanted = [...new Set(names)]
      .filter((name) => !this.#held.has(name))
      .slice(0, Math.max(0, MAX_LEASES - this.#held.size))
    if (wanted.length === 0 || this.#closed) return []
    const askedMs = this.#clock.nowMs()
    const { rows } = await this.#pool.query<LeaseRow>(statement, [wanted, this.#owner, this.#leaseMs])
    const taken = rows.map(({ name, fence }) => {
      const lease = new Lease(name, BigInt(fence), askedMs + this.#leaseMs, () => this.release([lease]))
      this.#held.set(name, lease)
      return lease
    })
    if (this.#closed) await this.release(taken)
    else this.#beatLater()
    return taken
  }

  /** Gives them to whoever wants them next. Never rejects: what cannot be given back ends by itself. */
  async release(leases: readonly Lease[]): Promise<void> {
    const given = leases.filter((lease) => this.#held.get(lease.name) === lease)
    for (const lease of given) this.#forget(lease, 'it was given back')
    if (given.length === 0) return
    await this.#pool
      .query(
        `with mine as (
           select leases.name from leases
           join unnest($1::text[], $2::bigint[]) as given (name, fence) on leases.name = given.name and leases.fence = given.fence
           order by leases.name for update of leases
         )
         update leases set expires_at = clock_timestamp() from mine where leases.name = mine.name`,
        namesAndFences(given),
        KEPT,
      )
      .catch(() => {})
  }

  /**
   * Makes sure that what this transaction writes for those of the leases that it answers is written by the owner: nobody
   * takes them over before its end. The others are over. Whoever locks rows of what the leases stand for does so before.
   */
  async holdAll(tx: Pick<Transaction, 'query'>, leases: readonly Lease[]): Promise<Lease[]> {
    if (leases.length === 0) return []
    const { rows } = await tx.query<LeaseRow>(
      // In one order, so that two who hold and take the same never wait for each other.
      `select leases.name, leases.fence from leases
       join unnest($1::text[], $2::bigint[]) as given (name, fence) on leases.name = given.name and leases.fence = given.fence
       where expires_at > clock_timestamp() order by leases.name for share of leases`,
      namesAndFences(leases),
    )
    const names = new Set(rows.map(({ name }) => name))
    for (const lease of leases) {
      if (!names.has(lease.name) && this.#held.get(lease.name) === lease) {
        this.#forget(lease, 'it has ended, or somebody else has taken it')
      }
    }
    return leases.filter(({ name }) => names.has(name))
  }

  /** Gives everything back, and takes nothing any more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelBeat?.()
    this.#cancelBeat = undefined
    await this.release(this.held)
  }

  #beatLater(): void {
    if (this.#closed || this.#held.size === 0) return
    this.#cancelBeat ??= this.#clock.schedule(this.#leaseMs / BEATS_PER_LEASE, () => {
      this.#cancelBeat = undefined
      void this.#beat()
    })
  }

  async #beat(): Promise<void> {
    const askedMs = this.#clock.nowMs()
    this.#endOverdue(askedMs)
    // The next beat does not wait for this one: the answer may never come.
    this.#beatLater()
    const asked = this.held
    if (asked.length === 0) return
    const renewed = await this.#renew(asked).catch(() => undefined)
    // Nothing is known then; the end of each lease decides.
    if (renewed === undefined) return
    for (const lease of asked) {
      if (this.#held.get(lease.name) !== lease) continue
      if (renewed.has(lease.name)) lease.untilMs = Math.max(lease.untilMs, askedMs + this.#leaseMs)
      else this.#forget(lease, 'somebody else has taken it')
    }
    this.#endOverdue(this.#clock.nowMs())
  }

  async #renew(leases: readonly Lease[]): Promise<ReadonlySet<string>> {
    const { rows } = await this.#pool.query<LeaseRow>(
      `with mine as (
         select leases.name from leases
         join unnest($1::text[], $2::bigint[]) as given (name, fence) on leases.name = given.name and leases.fence = given.fence
         order by leases.name for update of leases
       )
       update leases set expires_at = clock_timestamp() + $3 * interval '1 millisecond'
       from mine where leases.name = mine.name returning leases.name, fence`,
      [...namesAndFences(leases), this.#leaseMs],
      KEPT,
    )
    return new Set(rows.map(({ name }) => name))
  }

  #endOverdue(nowMs: number): void {
    for (const lease of this.#held.values()) {
      if (lease.untilMs <= nowMs) this.#forget(lease, 'it was not renewed in time')
    }
  }

  #forget(lease: Lease, why: string): void {
    this.#held.delete(lease.name)
    lease.end(new ApiLeaseLostError(lease.name, why))
  }
}

/** A name that this process owns. */
export class Lease {
  readonly name: string
  readonly fence: bigint
  /** Until when it runs at least, by the clock of this process. */
  untilMs: number
  readonly #ended = new AbortController()
  readonly #release: () => Promise<void>

  constructor(name: string, fence: bigint, untilMs: number, release: () => Promise<void>) {
    this.name = name
    this.fence = fence
    this.untilMs = untilMs
    this.#release = release
  }

  /** Aborts when it is over, whoever ended it; the reason is an `ApiLeaseLostError`. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /**
   * Makes sure that what this transaction writes is written by the owner: nobody takes the lease over before its end.
   * @throws {ApiLeaseLostError}
   */
  async hold(tx: Pick<Transaction, 'query'>): Promise<void> {
    const { rowCount } = await tx.query(
      'select from leases where name = $1 and fence = $2 and expires_at > clock_timestamp() for share',
      [this.name, String(this.fence)],
    )
    if (rowCount === 0) throw new ApiLeaseLostError(this.name, 'it is over, or somebody else has taken it')
  }

  /** Gives it to whoever wants it next. Never rejects. */
  release(): Promise<void> {
    return this.#release()
  }

  /** For `Leases`. */
  end(why: Error): void {
    this.#ended.abort(why)
  }
}

function namesAndFences(leases: readonly Lease[]): [names: string[], fences: string[]] {
  return [leases.map(({ name }) => name), leases.map(({ fence }) => String(fence))]
}
