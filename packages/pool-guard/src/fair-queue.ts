/** One that waits. `place` is undefined as soon as it has left the queue. */
export class Place<Tenant, Value> {
  readonly value: Value
  line: Line<Tenant, Value> | undefined
  // Among those of the same tenant, and among all in the order of arrival.
  ahead: Place<Tenant, Value> | undefined
  behind: Place<Tenant, Value> | undefined
  older: Place<Tenant, Value> | undefined
  newer: Place<Tenant, Value> | undefined

  constructor(value: Value, line: Line<Tenant, Value>) {
    this.value = value
    this.line = line
  }
}

/** Those of one tenant, first come first served; a member of the ring of lines while it is not empty. */
class Line<Tenant, Value> {
  readonly tenant: Tenant
  length = 0
  first: Place<Tenant, Value> | undefined
  last: Place<Tenant, Value> | undefined
  next: Line<Tenant, Value> = this
  previous: Line<Tenant, Value> = this

  constructor(tenant: Tenant) {
    this.tenant = tenant
  }
}

/**
 * A queue that serves tenants in turn (round robin), and each tenant's own work in the order in which it came.
 *
 * Guarantees: between two turns of a tenant that waits, every other one that waits has at most one; joining and
 * leaving cost the same however many wait. It has no bound of its own: `Admission` bounds it.
 */
export class FairQueue<Tenant, Value> {
  readonly #lines = new Map<Tenant, Line<Tenant, Value>>()
  /** The line whose turn it is; the ring goes on with its `next`. */
  #turn: Line<Tenant, Value> | undefined
  #oldest: Place<Tenant, Value> | undefined
  #newest: Place<Tenant, Value> | undefined
  #length = 0

  /** How many wait. */
  get length(): number {
    return this.#length
  }

  /** How many different tenants wait. */
  get tenants(): number {
    return this.#lines.size
  }

  /** Who has waited longest, of all tenants. */
  get oldest(): Place<Tenant, Value> | undefined {
    return this.#oldest
  }

  /** How many of this tenant wait. */
  lengthOf(tenant: Tenant): number {
    return this.#lines.get(tenant)?.length ?? 0
  }

  /** Joins the end of the tenant's line; a tenant that did not wait gets its turn after all that do. */
  push(tenant: Tenant, value: Value): Place<Tenant, Value> {
    let line = this.#lines.get(tenant)
    if (line === undefined) {
      line = new Line<Tenant, Value>(tenant)
      this.#lines.set(tenant, line)
      this.#insertLine(line)
    }
    const place = new Place(value, line)
    place.ahead = line.last
    if (line.last === undefined) line.first = place
    else line.last.behind = place
    line.last = place
    line.length += 1
    place.older = this.#newest
    if (this.#newest === undefined) this.#oldest = place
    else this.#newest.newer = place
    this.#newest = place
    this.#length += 1
    return place
  }

  /** Takes the place out wherever it stands; false when it had left already. */
  remove(place: Place<Tenant, Value>): boolean {
    const { line } = place
    if (line === undefined) return false
    place.line = undefined
    if (place.ahead === undefined) line.first = place.behind
    else place.ahead.behind = place.behind
    if (place.behind === undefined) line.last = place.ahead
    else place.behind.ahead = place.ahead
    line.length -= 1
    if (place.older === undefined) this.#oldest = place.newer
    else place.older.newer = place.newer
    if (place.newer === undefined) this.#newest = place.older
    else place.newer.older = place.older
    this.#length -= 1
    if (line.length === 0) this.#removeLine(line)
    return true
  }

  /**
   * Takes out the first of the tenant whose turn it is. Tenants that `hasEnough` are passed over, unless all who wait
   * have enough: then the turn decides, for a free slot is never left unused.
   */
  next(hasEnough: (tenant: Tenant) => boolean): Value | undefined {
    const start = this.#turn
    if (start === undefined) return undefined
    let line = start
    while (hasEnough(line.tenant)) {
      line = line.next
      if (line === start) break
    }
    const place = line.first
    if (place === undefined) return undefined
    this.#turn = line.next
    this.remove(place)
    return place.value
  }

  /** The last of the longest line, and how long that line is: whose place goes first when there are too few. */
  lastOfLongest(): { readonly place: Place<Tenant, Value>; readonly length: number } | undefined {
    let longest: Line<Tenant, Value> | undefined
    for (const line of this.#lines.values()) {
      if (longest === undefined || line.length > longest.length) longest = line
    }
    return longest?.last && { place: longest.last, length: longest.length }
  }

  #insertLine(line: Line<Tenant, Value>): void {
    if (this.#turn === undefined) {
      this.#turn = line
      return
    }
    // Right before the one whose turn it is: the end of the round.
    line.next = this.#turn
    line.previous = this.#turn.previous
    line.previous.next = line
    line.next.previous = line
  }

  #removeLine(line: Line<Tenant, Value>): void {
    this.#lines.delete(line.tenant)
    if (line.next === line) {
      this.#turn = undefined
      return
    }
    line.previous.next = line.next
    line.next.previous = line.previous
    if (this.#turn === line) this.#turn = line.next
  }
}
