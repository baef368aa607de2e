/*
 * One load of a cache with a second level: Redis is asked first, then this process loads what it was granted the
 * lease of, and waits for what others load.
 *
 * Guarantees: the fence of a load is taken before the source is asked. A call of Redis that fails, or a process
 * that falls silent, costs its time and never the load: the source is asked without them.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { SharedLoadError } from './errors.ts'
import type { FleetChange } from './fleet-message.ts'
import type { Arrival, Holdings } from './holdings.ts'
import { shown } from './holdings.ts'
import type { Row } from './options.ts'
import type { Notice, Outbox } from './outbox.ts'
import {
  type FleetReading,
  MAX_CALL_KEYS,
  type SharedReply,
  type SharedStore,
  type StoreOptions,
  type Want,
} from './shared-store.ts'

/** Followers that cannot hear messages look again after so long, 50 to 150 % of it. */
const POLL_MS = 100
/** Spread of those who look whether a lease has ended. */
const SPREAD_MS = 20

/** How a key was read. Without anything: by this load, without Redis. */
export type RowReading = Partial<FleetReading> & {
  /** The lease under which this process has read it. */
  readonly lease?: number
}

/** What became of a load. */
export interface Fetched<V> {
  readonly rows: Row<V>[]
  /** How rows, and keys found missing, were read. */
  readonly readings: Map<string, RowReading>
  readonly failed: Map<string, unknown>
}

/** What a load is given besides the keys. */
export interface FetchContext<V> {
  readonly signal: AbortSignal
  /** Asks the source. */
  readonly load: (keys: readonly string[]) => Promise<Iterable<Row<V>>>
}

export interface FleetLoadParts<V> {
  readonly options: StoreOptions<V>
  readonly store: SharedStore<V>
  readonly holdings: Holdings<V>
  readonly outbox: Outbox
  /** Takes a value that is not to be called fresh. */
  readonly place: (arrival: Omit<Arrival<V>, 'order'>) => void
  readonly tell: (notice: Notice) => void
  readonly listening: () => boolean
}

type Heard = (change: FleetChange) => void

export class FleetLoad<V> {
  readonly #parts: FleetLoadParts<V>
  readonly #awaited = new Map<string, Set<Heard>>()
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #counts = { hits: 0, led: 0, followed: 0, failedElsewhere: 0, direct: 0, leasesLost: 0 }

  constructor(parts: FleetLoadParts<V>) {
    this.#parts = parts
  }

  counts() {
    return { ...this.#counts }
  }

  /** A message, for those who wait for its key. */
  hear(change: FleetChange): void {
    if (change.kind === 't') return
    for (const ear of this.#awaited.get(change.name) ?? []) ear(change)
  }

  /** Messages may have been missed: whoever waits looks again. */
  wake(): void {
    for (const [name, ears] of this.#awaited) {
      for (const ear of ears) ear({ kind: 'l', name, fence: 0, ageMs: 0, text: undefined, outdated: false })
    }
  }

  /** The values of keys: of Redis, of another process, or of the source. Rejects when all of them failed. */
  async fetch(wants: readonly Want[], context: FetchContext<V>): Promise<Fetched<V>> {
    const fetched: Fetched<V> = { rows: [], readings: new Map(), failed: new Map() }
    await Promise.all(chunked(wants).map((chunk) => this.#fetch(chunk, context, fetched)))
    const [failure] = fetched.failed.values()
    if (fetched.failed.size === wants.length) throw failure
    return fetched
  }

  async #fetch(wants: readonly Want[], context: FetchContext<V>, fetched: Fetched<V>): Promise<void> {
    if (wants.length === 0) return
    const { store, options } = this.#parts
    if (context.signal.aborted) {
      for (const { key } of wants) fetched.failed.set(key, context.signal.reason)
      return
    }
    if (!options.redis.available) return this.#loadDirectly(wants, context, fetched)
    const shareable = wants.filter(({ key }) => store.canHold(key))
    const apart = wants.filter(({ key }) => !store.canHold(key))
    await Promise.all([
      this.#loadDirectly(apart, context, fetched),
      this.#fetchShared(shareable, context, fetched),
    ])
  }

  async #fetchShared(asked: readonly Want[], context: FetchContext<V>, fetched: Fetched<V>): Promise<void> {
    if (asked.length === 0) return
    const { store, holdings, outbox } = this.#parts
    // What was invalidated here, and Redis may not know of it, is not to be had from there.
    const wants = asked.map(
      (want): Want => (outbox.outdates(want.key, []) ? { ...want, since: 'now' } : want),
    )
    // Before the lease is asked for: what another process brings may be told before the answer is here.
    const heard = this.#listen(wants)
    try {
      const answer = await store.read(wants, holdings).catch(() => undefined)
      if (answer === undefined) return await this.#loadDirectly(wants, context, fetched)
      const { replies, granted } = answer
      const inState = (state: string) => replies.filter((reply) => reply.state === state)
      for (const reply of inState('m')) {
        this.#counts.hits += 1
        fetched.readings.set(reply.key, readingOf(reply))
      }
      for (const { key, text } of inState('e')) this.#failElsewhere(key, text, fetched)
      for (const reply of replies) {
        if (reply.text !== '' && (reply.state === 'w' || reply.state === 'l')) this.#placeOutdated(reply)
      }
      const again = await this.#takeValues(inState('h'), 'hits', fetched)
      await Promise.all([
        this.#lead(
          inState('l').map(({ key }) => key),
          granted,
          context,
          fetched,
        ),
        this.#follow(inState('w'), heard, context, fetched),
        this.#fetch(again, context, fetched),
      ])
    } finally {
      heard.stop()
    }
  }

  async #loadDirectly(wants: readonly Want[], context: FetchContext<V>, fetched: Fetched<V>): Promise<void> {
    if (wants.length === 0) return
    this.#counts.direct += wants.length
    await this.#ask(
      wants.map(({ key }) => key),
      context,
      fetched,
      {},
    )
  }

  async #ask(keys: readonly string[], context: FetchContext<V>, fetched: Fetched<V>, reading: RowReading) {
    try {
      for (const row of await context.load(keys)) fetched.rows.push(row)
      for (const key of keys) fetched.readings.set(key, reading)
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 500)
      for (const key of keys) {
        fetched.failed.set(key, error)
        const { lease, fence, asOfMs = 0 } = reading
        if (lease !== undefined) this.#parts.tell({ kind: 'failed', name: key, fence, asOfMs, lease, reason })
      }
    }
  }

  /** Loads under the lease, and keeps it as long as that takes. */
  async #lead(keys: readonly string[], granted: FleetReading, context: FetchContext<V>, fetched: Fetched<V>) {
    if (keys.length === 0) return
    this.#counts.led += keys.length
    const { store, options } = this.#parts
    let cancel = () => {}
    let over = false
    const beat = () => {
      cancel = this.#neutral(() => options.clock.schedule(options.leaseMs / 3, () => void renew()))
    }
    const renew = async () => {
      // A Redis that does not answer is no reason to stop: it may be back before the lease ends.
      const held = await store.renew(keys, granted.fence).catch(() => keys.length)
      if (held < keys.length) this.#counts.leasesLost += 1
      if (held > 0 && !over && !context.signal.aborted) beat()
    }
    beat()
    try {
      await this.#ask(keys, context, fetched, { ...granted, lease: granted.fence })
    } finally {
      over = true
      cancel()
    }
  }

  /** Waits for what others load. What nobody brings in time is asked for again. */
  async #follow(
    waits: readonly SharedReply[],
    heard: Listening,
    context: FetchContext<V>,
    fetched: Fetched<V>,
  ) {
    if (waits.length === 0) return
    const { options, listening } = this.#parts
    const { clock, random } = options
    const open = new Map(waits.map((wait) => [wait.key, wait]))
    const again: Want[] = []
    const told: SharedValue[] = []
    // Messages come by a connection of their own; while it is down, one looks more often.
    const leaseMs = Math.min(...waits.map(({ restMs }) => restMs)) + random() * SPREAD_MS
    const pauseMs = listening() ? leaseMs : Math.min(leaseMs, POLL_MS * (0.5 + random()))
    const endMs = clock.nowMs() + pauseMs
    while (open.size > 0) {
      for (const [key, { since }] of open) {
        const change = heard.changes.get(key)
        if (change === undefined) continue
        open.delete(key)
        if (change.kind === 's' && change.text !== undefined && !change.outdated) {
          told.push({ key, since, text: change.text, ...this.#readingOf(change) })
        } else if (!this.#takeHeard(change, fetched)) again.push({ key, since })
      }
      const restMs = endMs - clock.nowMs()
      if (open.size === 0 || restMs <= 0 || context.signal.aborted) break
      await heard.next(restMs, context.signal)
    }
    for (const { key, since } of open.values()) again.push({ key, since })
    again.push(...(await this.#takeValues(told, 'followed', fetched)))
    await this.#fetch(again, context, fetched)
  }

  /** Takes what another process has just brought. Answers false when the key must be asked for again. */
  #takeHeard(change: FleetChange, fetched: Fetched<V>): boolean {
    const { kind, name, text = '' } = change
    if (kind === 'm') fetched.readings.set(name, this.#readingOf(change))
    else if (kind === 'e') this.#failElsewhere(name, text, fetched)
    else return false
    this.#counts.followed += 1
    return true
  }

  #readingOf({ fence, ageMs }: FleetChange): FleetReading {
    return { fence, asOfMs: this.#parts.options.clock.nowMs() - ageMs }
  }

  /** Takes values of other processes; answers those that will not do after all. */
  async #takeValues(
    values: readonly SharedValue[],
    count: 'hits' | 'followed',
    fetched: Fetched<V>,
  ): Promise<readonly Want[]> {
    const { store, holdings, outbox } = this.#parts
    const again: Want[] = []
    const rows: { readonly reply: SharedValue; readonly row: Row<V> }[] = []
    for (const reply of values) {
      const { key, fence, text } = reply
      const held = holdings.look(key)
      const row = text === '' ? (held?.fence === fence ? held : undefined) : store.rowOf(key, text)
      // What is damaged is loaded anew: nothing with its fence will do.
      if (row === undefined) again.push({ key, since: fence + 1 })
      // Now, and not after another call: Redis has not seen these invalidations when it answered.
      else if (outbox.outdates(key, row.tags ?? [])) again.push({ key, since: 'now' })
      else rows.push({ reply, row })
    }
    const tags = [...new Set(rows.flatMap(({ row }) => row.tags ?? []))]
    const marks = await store.marksOf(tags).catch(() => undefined)
    for (const { reply, row } of rows) {
      const { key, fence, asOfMs } = reply
      const { outdatedFence = 0, outdatedMs = Number.NEGATIVE_INFINITY } = holdings.look(key) ?? {}
      const mark = Math.max(outdatedFence, ...(row.tags ?? []).map((tag) => marks?.get(tag) ?? 0))
      if (mark >= fence) again.push({ key, since: mark + 1 })
      else if (outdatedMs >= asOfMs || (marks === undefined && (row.tags ?? []).length > 0))
        again.push({ key, since: 'now' })
      else {
        this.#counts[count] += 1
        fetched.rows.push({ key, value: row.value, version: row.version, tags: row.tags })
        fetched.readings.set(key, { fence, asOfMs })
      }
    }
    return again
  }

  /** What is outdated is better than nothing, should the source fail. */
  #placeOutdated({ key, text, fence, asOfMs }: SharedReply): void {
    const row = this.#parts.store.rowOf(key, text)
    if (row === undefined) return
    this.#parts.place({ ...row, fence, asOfMs, origin: 'source', outdated: true })
  }

  #failElsewhere(key: string, reason: string, fetched: Fetched<V>): void {
    this.#counts.failedElsewhere += 1
    fetched.failed.set(key, new SharedLoadError(shown(key), reason))
  }

  #listen(wants: readonly Want[]): Listening {
    const changes = new Map<string, FleetChange>()
    let ring = () => {}
    const ear: Heard = (change) => {
      changes.set(change.name, change)
      ring()
    }
    for (const { key } of wants) {
      const ears = this.#awaited.get(key)
      if (ears === undefined) this.#awaited.set(key, new Set([ear]))
      else ears.add(ear)
    }
    const { clock } = this.#parts.options
    return {
      changes,
      next: (ms, signal) =>
        new Promise((resolve) => {
          const done = () => {
            cancel()
            signal.removeEventListener('abort', done)
            ring = () => {}
            resolve()
          }
          const cancel = this.#neutral(() => clock.schedule(ms, done))
          signal.addEventListener('abort', done)
          ring = done
        }),
      stop: () => {
        for (const { key } of wants) {
          const ears = this.#awaited.get(key)
          ears?.delete(ear)
          if (ears?.size === 0) this.#awaited.delete(key)
        }
      },
    }
  }
}

/** No call holds up the Redis of the others for long. */
function chunked(wants: readonly Want[]): readonly Want[][] {
  const chunks: Want[][] = []
  for (let from = 0; from < wants.length; from += MAX_CALL_KEYS)
    chunks.push(wants.slice(from, from + MAX_CALL_KEYS))
  return chunks
}

/** A value that another process has brought. */
type SharedValue = Pick<SharedReply, 'key' | 'since' | 'fence' | 'asOfMs' | 'text'>

interface Listening {
  /** What was told since, by key. */
  readonly changes: ReadonlyMap<string, FleetChange>
  /** Settles with the next message, when the time is over, or on abort. */
  readonly next: (ms: number, signal: AbortSignal) => Promise<void>
  readonly stop: () => void
}

function readingOf({ fence, asOfMs }: SharedReply): FleetReading {
  return { fence, asOfMs }
}
