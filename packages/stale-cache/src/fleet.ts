/*
 * The second level of a cache: its values in Redis, and what the processes of a fleet tell each other.
 *
 * Guarantees: of all processes that want a key at the same time one asks the source, and the others take what it
 * brings; every read has its place in one order of the whole fleet. What Redis or a message brings is checked like
 * what a stranger brings. Nothing in here waits for a Redis that is away; what the fleet has missed is told when it
 * is back, and what this process has missed is read then. Every queue has a bound.
 *
 * Does not guarantee one load for ever: a lease ends when its holder is silent, and without Redis every process asks
 * for itself. What is newer is decided by the fences, never by the lease.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { settledWithin } from './budget.ts'
import { channels, type FleetEvent } from './events.ts'
import { type FetchContext, type Fetched, FleetLoad } from './fleet-load.ts'
import { type FleetChange, parseFleetMessage } from './fleet-message.ts'
import type { Arrival, Holdings, Reading } from './holdings.ts'
import type { FleetChanges, ResolvedOptions } from './options.ts'
import { isPassing, type Notice, Outbox } from './outbox.ts'
import { MAX_CALL_KEYS, type Parcel, SharedStore, type StoreOptions, type Want } from './shared-store.ts'

/** How long `close` waits for the last notices. */
const CLOSE_BUDGET_MS = 250
/** Text of values in one call. */
const MAX_CALL_BYTES = 262_144
/** Until the next try after a call that failed although Redis seemed to be there. */
const RETRY_MS = 1_000

/** Where what the fleet brings goes. */
export interface FleetTarget<V> {
  readonly holdings: Holdings<V>
  /** Takes a value of another process. Throws when it cannot be stored. */
  readonly place: (arrival: Arrival<V>) => unknown
  readonly miss: (key: string, reading: Reading) => unknown
  readonly outdate: (key: string, fence: number) => void
  readonly outdateTag: (tag: string, fence: number) => void
}

/** Counters since construction, and gauges of this moment. */
export interface FleetSnapshot {
  /** Keys answered from Redis. */
  readonly hits: number
  /** Keys that this process loaded under the lease. */
  readonly led: number
  /** Keys taken from the load of another process. */
  readonly followed: number
  /** Keys whose load has just failed in another process. */
  readonly failedElsewhere: number
  /** Keys loaded without Redis, because it was away or too slow. */
  readonly direct: number
  /** Leases that ended while this process was still loading. */
  readonly leasesLost: number
  /** Values in Redis or in messages that could not be trusted. */
  readonly damaged: number
  /** Values that were not shared: larger than `maxSharedBytes`, or nothing that JSON can hold. */
  readonly unshared: number
  /** Values and invalidations that Redis has taken. */
  readonly written: number
  /** Those that it refused, because it holds something newer. */
  readonly fenced: number
  readonly callsFailed: number
  readonly messages: number
  /** Messages that are none of ours. */
  readonly messagesRefused: number
  /** Times at which messages may have been missed. */
  readonly gaps: number
  /** Held keys compared with Redis. */
  readonly compared: number
  /** Values and invalidations that wait for Redis. */
  readonly waiting: number
  /** Those that had to make room for later ones. */
  readonly dropped: number
  /** Whether messages arrive at present. */
  readonly listening: boolean
}

/** The second level of a cache that has one. */
export function joinFleet<V>(
  cache: string,
  options: ResolvedOptions<V>,
  target: FleetTarget<V>,
): Fleet<V> | undefined {
  const { redis } = options
  return redis === undefined ? undefined : new Fleet(cache, { ...options, redis }, target)
}

export class Fleet<V> {
  readonly #cache: string
  readonly #options: StoreOptions<V>
  readonly #target: FleetTarget<V>
  /** Tells this process's messages from the others'. */
  readonly #sender: string
  readonly #store: SharedStore<V>
  readonly #outbox = new Outbox()
  readonly #loads: FleetLoad<V>
  /** Held keys to compare with Redis. Bounded by what is held. */
  readonly #doubted = new Set<string>()
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #leave: readonly (() => void)[]
  readonly #counts = { written: 0, fenced: 0, messages: 0, messagesRefused: 0, gaps: 0, compared: 0 }
  #working: Promise<void> | undefined = undefined
  #cancelRetry: (() => void) | undefined = undefined
  #closed = false

  constructor(cache: string, options: StoreOptions<V>, target: FleetTarget<V>) {
    this.#cache = cache
    this.#options = options
    this.#target = target
    const { redis } = options
    const { holdings } = target
    this.#sender = Array.from({ length: 3 }, () => Math.floor(options.random() * 2 ** 32).toString(36)).join(
      '-',
    )
    const store = new SharedStore(cache, this.#sender, options)
    this.#store = store
    this.#loads = new FleetLoad({
      options,
      store,
      holdings,
      outbox: this.#outbox,
      place: (arrival) => this.#place({ ...arrival, order: holdings.changes.next() }),
      tell: (notice) => this.tell(notice),
      listening: () => redis.listening(store.channel),
    })
    this.#leave = [
      redis.subscribe(store.channel, {
        onMessage: (payload) => this.#hear(payload.toString()),
        onGap: () => this.#doubtAll(),
      }),
      redis.onStateChange(() => {
        this.#cancelRetry?.()
        this.#catchUp()
      }),
    ]
  }

  snapshot(): FleetSnapshot {
    return {
      ...this.#counts,
      ...this.#loads.counts(),
      ...this.#store.counts(),
      waiting: this.#outbox.waiting,
      dropped: this.#outbox.dropped,
      listening: this.#options.redis.listening(this.#store.channel),
    }
  }

  /** The values of keys: of Redis, of another process, or of the source. Rejects when all of them failed. */
  fetch(wants: readonly Want[], context: FetchContext<V>): Promise<Fetched<V>> {
    return this.#loads.fetch(wants, context)
  }

  /** Something has happened here that the fleet should know: now, or when Redis is back. */
  tell(notice: Notice): void {
    const store = this.#store
    const tellable = notice.kind === 'tag' ? store.canMark(notice.name) : store.canHold(notice.name)
    if (this.#closed || !tellable || (isPassing(notice) && !this.#options.redis.available)) return
    // A load has begun earlier, and knew less.
    const seen = notice.outdates === true ? { seen: store.seen } : {}
    this.#outbox.add({ ...notice, ...seen }, this.#maxWaiting)
    this.#catchUp()
  }

  /** What another process has written cannot be used here. */
  distrust(): void {
    this.#store.distrust()
  }

  /** Tells what is left, if Redis is there, and leaves. */
  async close(): Promise<void> {
    this.#cancelRetry?.()
    await settledWithin(CLOSE_BUDGET_MS, this.#told(), this.#options.clock)
    this.#closed = true
    for (const leave of this.#leave) leave()
    this.#cancelRetry?.()
    this.#outbox.clear()
    this.#doubted.clear()
  }

  /** While Redis takes them they wait for a moment only, and a load or two may tell of as many keys as are held. */
  get #maxWaiting(): number {
    const { redis, maxReplays, maxEntries, maxBatchKeys, maxConcurrentLoads } = this.#options
    return redis.available ? Math.max(maxReplays, maxEntries, maxBatchKeys * maxConcurrentLoads) : maxReplays
  }

  async #told(): Promise<void> {
    this.#catchUp()
    while (this.#working !== undefined && this.#outbox.waiting > 0) await this.#working
  }

  #place(arrival: Arrival<V>): void {
    try {
      this.#target.place(arrival)
    } catch {
      // A value that cannot be represented here was nobody's to await; the next load asks the source.
      this.#store.distrust()
    }
  }

  /** Sends and compares, one call after the other, as long as there is something to do and Redis is there. */
  #catchUp(): void {
    if (this.#working !== undefined || this.#closed || !this.#options.redis.available) return
    if (this.#outbox.size === 0 && this.#doubted.size === 0) return
    this.#working = this.#neutral(() => this.#work()).finally(() => {
      this.#working = undefined
      this.#catchUp()
    })
  }

  async #work(): Promise<void> {
    // After this turn: what is told in one turn goes out together.
    await Promise.resolve()
    try {
      if (this.#outbox.size > 0) await this.#send()
      else await this.#compare()
    } catch {
      // Counted by the store. Redis may still look alive, so nobody might tell when to try again.
      const { clock } = this.#options
      await new Promise<void>((resolve) => {
        const cancel = this.#neutral(() => clock.schedule(RETRY_MS, resolve))
        this.#cancelRetry = () => {
          cancel()
          resolve()
        }
      })
    }
  }

  async #send(): Promise<void> {
    const { holdings } = this.#target
    const sendings: { readonly notice: Notice; readonly parcel: Parcel }[] = []
    let bytes = 0
    while (this.#outbox.size > 0 && sendings.length < MAX_CALL_KEYS && bytes < MAX_CALL_BYTES) {
      for (const notice of this.#outbox.take(1)) {
        const parcel = this.#store.parcelOf(notice, holdings.look(notice.name))
        if (parcel === undefined) this.#outbox.settle(notice)
        else sendings.push({ notice, parcel })
        bytes += parcel?.text.length ?? 0
      }
    }
    if (sendings.length === 0) return
    try {
      const results = await this.#store.apply(sendings.map(({ parcel }) => parcel))
      for (const [index, { notice, parcel }] of sendings.entries()) {
        const { done, fence } = results[index] ?? { done: false, fence: 0 }
        this.#sent(parcel, done, fence)
        this.#outbox.settle(notice)
      }
    } catch (error) {
      for (const { notice } of sendings) this.#outbox.restore(notice, this.#maxWaiting)
      throw error
    }
  }

  #sent({ kind, notice }: Parcel, done: boolean, fence: number): void {
    const { holdings } = this.#target
    const { name, asOfMs } = notice
    if (kind === 'l' || kind === 'e') return
    this.#counts[done ? 'written' : 'fenced'] += 1
    if (notice.kind === 'invalidate') holdings.outdatedWith(name, asOfMs, fence)
    if (notice.kind === 'store' && done) holdings.fencedWith(name, asOfMs, fence)
    // The fleet holds something newer than this process does.
    if ((kind === 's' || kind === 'm') && !done) this.#doubted.add(name)
  }

  #hear(payload: string): void {
    const message = parseFleetMessage(payload)
    if (message === undefined) {
      this.#counts.messagesRefused += 1
      return
    }
    for (const change of message.changes) this.#loads.hear(change)
    if (message.from === this.#sender) return
    this.#counts.messages += 1
    for (const change of message.changes) this.#take(change)
    this.#report(message.changes)
    this.#catchUp()
  }

  #take(change: FleetChange): void {
    const { kind, name, fence, ageMs, text, outdated } = change
    const { holdings } = this.#target
    this.#store.saw(fence)
    if (kind === 't') this.#target.outdateTag(name, fence)
    else if (kind === 'i') this.#target.outdate(name, fence)
    else if (kind === 's' && this.#known(name) && holdings.look(name)?.fence !== fence) {
      const row = text === undefined ? undefined : this.#store.rowOf(name, text)
      const tags = row?.tags ?? []
      // What has not arrived from here yet gets its fence first, then they are compared.
      const told = !this.#outbox.has(name) && !this.#outbox.outdates(name, tags)
      const { tags: held = [] } = holdings.look(name) ?? {}
      const asOfMs = this.#options.clock.nowMs() - ageMs
      const reading = { order: holdings.changes.next(), fence, asOfMs }
      if (row !== undefined && told) this.#place({ ...row, ...reading, origin: 'source', outdated })
      // Tags that are new here may have been invalidated since it was read.
      if (row === undefined || !told || !tags.every((tag) => held.includes(tag))) this.#doubted.add(name)
    } else if (kind === 'm' && this.#outbox.has(name)) this.#doubted.add(name)
    else if (kind === 'm' && holdings.look(name) !== undefined) {
      const asOfMs = this.#options.clock.nowMs() - ageMs
      this.#target.miss(name, { order: holdings.changes.next(), fence, asOfMs })
    }
  }

  /** Whether this process has ever cared for a key, as far as it remembers. */
  #known(key: string): boolean {
    const { holdings } = this.#target
    return (
      holdings.look(key) !== undefined || holdings.absence(key, this.#options.clock.nowMs()) !== undefined
    )
  }

  #report(changes: readonly FleetChange[]): void {
    const named = (kind: FleetChange['kind']) =>
      changes.filter((change) => change.kind === kind).map(({ name }) => name)
    const told: FleetChanges = {
      stored: named('s'),
      missing: named('m'),
      invalidated: named('i'),
      tags: named('t'),
      gap: false,
    }
    if (told.stored.length + told.missing.length + told.invalidated.length + told.tags.length > 0)
      this.#publish(told)
  }

  #publish(changes: FleetChanges): void {
    try {
      this.#neutral(() => this.#options.onFleetChange(changes))
    } catch {
      // Whoever listens must not keep the cache from what comes next.
    }
    if (!channels.fleet.hasSubscribers) return
    const event: FleetEvent = { cache: this.#cache, ...changes }
    channels.fleet.publish(event)
  }

  /** Messages may have been missed: everything that is held may be outdated. */
  #doubtAll(): void {
    this.#counts.gaps += 1
    // The least recently read last, should the process end before it comes to them.
    for (const { key } of this.#target.holdings.entries()) this.#doubted.add(key)
    this.#loads.wake()
    this.#publish({ stored: [], missing: [], invalidated: [], tags: [], gap: true })
    this.#catchUp()
  }

  /** Reads what Redis holds in place of what is held here, where that is newer or outdated. */
  async #compare(): Promise<void> {
    const { holdings } = this.#target
    const keys = [...this.#doubted].slice(0, MAX_CALL_KEYS)
    for (const key of keys) this.#doubted.delete(key)
    const wants = keys.filter((key) => this.#store.canHold(key) && holdings.look(key) !== undefined)
    if (wants.length === 0) return
    try {
      const { replies } = await this.#store.read(
        wants.map((key) => ({ key, since: 0 })),
        holdings,
        true,
      )
      this.#counts.compared += wants.length
      for (const { key, state, fence, asOfMs, outdatedFence, text } of replies) {
        const reading = { order: holdings.changes.next(), fence, asOfMs }
        const outdated = outdatedFence > fence
        if (state === 'm') this.#target.miss(key, reading)
        const row = text === '' ? undefined : this.#store.rowOf(key, text)
        if (row !== undefined) this.#place({ ...row, ...reading, origin: 'source', outdated })
        // What has no fence yet is told soon, and gets its place then.
        const held = holdings.look(key)
        if (held?.fence !== undefined && outdatedFence > held.fence) this.#target.outdate(key, outdatedFence)
      }
      await this.#compareTags(wants)
    } catch (error) {
      for (const key of wants) this.#doubted.add(key)
      throw error
    }
  }

  async #compareTags(keys: readonly string[]): Promise<void> {
    const { holdings } = this.#target
    const tagged = keys.flatMap((key) => holdings.look(key) ?? []).filter(({ tags }) => tags.length > 0)
    const marks = await this.#store.marksOf([...new Set(tagged.flatMap(({ tags }) => tags))])
    for (const { key, tags, fence } of tagged) {
      const mark = Math.max(...tags.map((tag) => marks.get(tag) ?? 0))
      if (fence !== undefined && mark > fence) this.#target.outdate(key, mark)
    }
  }
}
