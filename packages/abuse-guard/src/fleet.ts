/**
 * Keeps the blocks of this process and those of a store alike, in the background: a request never waits for it. What
 * changed is read when the store calls, and every `syncMs` in case a call was missed. After a connection came back,
 * or after the store lost its data, everything is read again, and the store is told again what it does not know. While
 * the store is away, what is known stays in force, and what a person decides is kept until the store has heard of it:
 * what the store says about that address does not count before.
 *
 * It also tells the store how often those came who come often, so that an address that spreads its requests over the
 * processes is found, too. Each process keeps the first requests of everybody to itself: what an address can send within
 * a minute is bounded by the limit, and an eighth of it more for each process. An address is that of one client: an IPv4
 * address or a /64.
 */
import type { Clock } from '@holdfast/footing'
import type { BlockStore, Changes, Cursor, StoredBlock } from './store.ts'

/** The blocks of this process, as this sees them. */
export interface LocalBlocks {
  /**
   * Takes over what the store says about an address. `decided`: the store had heard of the block of this process when
   * it said so.
   */
  adopt(block: StoredBlock, decided: boolean): void
  /** Running blocks of this process. */
  running(): readonly (StoredBlock & { readonly shared: boolean })[]
  /** So many requests of an address came to all processes together. */
  counted(address: string, together: number): void
}

/** What the synchronisation did so far. */
export interface FleetCounts {
  readonly syncs: number
  readonly failures: number
  /** Blocks that were told again. */
  readonly restored: number
  /** Addresses that a person blocked or freed here, and of which the store does not know yet. */
  readonly pendingOrders: number
}

/** What a person decided about an address. */
interface Order {
  /** When the block ends; undefined: it is over. */
  readonly untilMs?: number
  readonly reason: string
  /** Whether the store is being told, or was. */
  state: 'waiting' | 'on-its-way' | 'told'
  /** Whether the store knew what was to be ended or forgotten. */
  found: boolean
}

/** What became of the word that an address is free. */
export interface Lifted {
  /** Whether the store has heard of it by now. */
  readonly shared: boolean
  /** Whether it had known a block of the address, or an offence. */
  readonly found: boolean
}

/** What it works with. */
export interface FleetSettings {
  readonly store: BlockStore
  readonly local: LocalBlocks
  readonly syncMs: number
  readonly clock: Clock
  /** Whether it makes sense to ask the store at present. */
  readonly available: () => boolean
}

const MAX_PENDING_ORDERS = 1000
/** How often requests of those who come often are told. */
const REPORT_MS = 1000
/** Addresses whose requests are told at one time, in eight batches: some 3 ms of Redis. Others are not counted together. */
const MAX_PENDING_COUNTS = 1024
/** What is older is not told: it might be counted for a minute in which it was not. */
const MAX_COUNT_AGE_MS = 4000
const MAX_RESTORED_AT_A_TIME = 64
const MAX_ORDERS_AT_A_TIME = 64
/** A store that always has more would keep a process busy for ever. */
const MAX_PAGES = 1000

/** The synchronisation of one process. */
export class Fleet {
  readonly #settings: FleetSettings
  #cursor: Cursor | undefined
  /** Addresses read since the start of a reading from the start; undefined between such readings. */
  #seen: Set<string> | undefined
  /** By address, the oldest first. */
  readonly #orders = new Map<string, Order>()
  #flushing: Promise<void> | undefined
  #nextFlush: Promise<void> | undefined
  /** Requests since the last report, by address; since when. */
  #counts = new Map<string, number>()
  #countsSinceMs = 0
  #running: Promise<boolean> | undefined
  #again = false
  #closed = false
  #stopListening: () => void = () => {}
  #cancelSync: () => void = () => {}
  #cancelReport: () => void = () => {}
  #syncs = 0
  #failures = 0
  #restored = 0

  constructor(settings: FleetSettings) {
    this.#settings = settings
  }

  /** Begins to listen and to ask. */
  start(): void {
    this.#stopListening = this.#settings.store.onChange(() => void this.sync())
    this.#syncLater()
    this.#reportLater()
  }

  close(): void {
    this.#closed = true
    this.#cancelSync()
    this.#cancelReport()
    this.#stopListening()
  }

  /** Reads everything again at the next opportunity, which is now. */
  restart(): void {
    this.#cursor = undefined
    void this.sync()
  }

  /**
   * Reads what changed; true when that succeeded. Never rejects. One reading at a time: a call during one makes another
   * follow it, and waits for that.
   */
  sync(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    if (this.#running !== undefined) {
      this.#again = true
      return this.#running
    }
    this.#running = this.#sync().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Has all processes block an address by the rules of escalation; false when the store does not know yet. */
  async punish(address: string, reason: string): Promise<boolean> {
    this.#counts.delete(address)
    // Whoever was freed has flooded again since.
    this.#orders.delete(address)
    if (!this.#settings.available()) return false
    try {
      const block = await this.#settings.store.punish(address, reason)
      if (!this.#orders.has(address)) this.#settings.local.adopt(block, true)
      return true
    } catch {
      // It is told again with the next reading.
      this.#failures += 1
      return false
    }
  }

  /** Has all processes block an address for this time; when the store does not answer, it is told later. */
  hold(address: string, ms: number, reason: string): Promise<boolean> {
    const untilMs = this.#settings.clock.nowMs() + ms
    return this.#order(address, { untilMs, reason, state: 'waiting', found: false })
  }

  /**
   * Ends a block in all processes; when the store does not answer, it is told later. Whoever wants the same before the
   * store was asked shares the answer.
   */
  async lift(address: string): Promise<Lifted> {
    const waiting = this.#orders.get(address)
    const order: Order =
      waiting?.state === 'waiting' && waiting.untilMs === undefined
        ? waiting
        : { reason: '', state: 'waiting', found: false }
    const shared = await this.#order(address, order)
    return { shared, found: order.found }
  }

  /** Notes requests of an address that comes often, for the next report. */
  note(address: string, requests: number): void {
    const nowMs = this.#settings.clock.nowMs()
    if (this.#counts.size > 0 && nowMs - this.#countsSinceMs > MAX_COUNT_AGE_MS) this.#counts.clear()
    if (this.#counts.size === 0) this.#countsSinceMs = nowMs
    const known = this.#counts.get(address)
    if (known !== undefined || this.#counts.size < MAX_PENDING_COUNTS) {
      this.#counts.set(address, (known ?? 0) + requests)
    }
  }

  counts(): FleetCounts {
    return {
      syncs: this.#syncs,
      failures: this.#failures,
      restored: this.#restored,
      pendingOrders: this.#orders.size,
    }
  }

  #syncLater(): void {
    const { clock, syncMs, available } = this.#settings
    this.#cancelSync = clock.schedule(syncMs, () => {
      if (available()) void this.sync()
      this.#syncLater()
    })
  }

  #reportLater(): void {
    const { clock, available } = this.#settings
    this.#cancelReport = clock.schedule(REPORT_MS, () => {
      if (available()) void this.#report()
      this.#reportLater()
    })
  }

  async #report(): Promise<void> {
    const { clock, store, local } = this.#settings
    const counts = this.#counts
    if (counts.size === 0) return
    this.#counts = new Map()
    if (clock.nowMs() - this.#countsSinceMs > MAX_COUNT_AGE_MS) return
    const told = [...counts].map(async ([address, requests]) => {
      const together = await store.count(address, requests)
      if (!this.#closed) local.counted(address, together)
    })
    // What could not be told is lost: it would be too old for the next time.
    for (const { status } of await Promise.allSettled(told)) if (status === 'rejected') this.#failures += 1
  }

  async #sync(): Promise<boolean> {
    try {
      do {
        this.#again = false
        await this.#read()
      } while (this.#again && !this.#closed)
      this.#syncs += 1
      return true
    } catch {
      this.#failures += 1
      // Half a reading from the start is none, and so is one after which the store could not be told what it has lost.
      if (this.#seen !== undefined) this.#cursor = undefined
      this.#seen = undefined
      return false
    }
  }

  async #read(): Promise<void> {
    // First what people decided. A store that takes no writes is still read.
    await this.#flushOrders()
    for (let page = 0; page < MAX_PAGES && !this.#closed; page += 1) {
      const asked = this.#cursor
      const changes = await this.#settings.store.changes(asked)
      // Somebody wants everything again meanwhile.
      if (asked !== this.#cursor) continue
      this.#take(changes, asked === undefined)
      if (!changes.more) break
    }
    await this.#restore()
  }

  #take({ cursor, blocks, fromTheStart }: Changes, wanted: boolean): void {
    if (fromTheStart || wanted) this.#seen = new Set()
    this.#cursor = cursor
    for (const block of blocks) {
      this.#seen?.add(block.address)
      if (this.#orders.has(block.address)) continue
      this.#counts.delete(block.address)
      this.#settings.local.adopt(block, false)
    }
  }

  /** Tells the store what it does not know: blocks it has lost, and those made while it was away. */
  async #restore(): Promise<void> {
    const seen = this.#seen
    const unknown = this.#settings.local
      .running()
      .filter(({ address, shared }) => !shared || (seen !== undefined && !seen.has(address)))
      .filter(({ address }) => !this.#orders.has(address))
    for (let from = 0; from < unknown.length && !this.#closed; from += MAX_RESTORED_AT_A_TIME) {
      const some = unknown.slice(from, from + MAX_RESTORED_AT_A_TIME)
      const known = await Promise.all(some.map((block) => this.#settings.store.restore(block)))
      for (const block of known) {
        if (!this.#orders.has(block.address)) this.#settings.local.adopt(block, true)
      }
      this.#restored += known.length
    }
    this.#seen = undefined
  }

  async #order(address: string, order: Order): Promise<boolean> {
    this.#counts.delete(address)
    this.#orders.delete(address)
    if (this.#orders.size >= MAX_PENDING_ORDERS) {
      const [oldest] = this.#orders.keys()
      if (oldest !== undefined) this.#orders.delete(oldest)
    }
    this.#orders.set(address, order)
    await this.#flushOrders()
    return order.state === 'told'
  }

  /** One at a time: who comes during one waits for the next, which tells what has come meanwhile. */
  #flushOrders(): Promise<void> {
    if (this.#flushing === undefined) {
      this.#flushing = this.#tellOrders().finally(() => {
        this.#flushing = undefined
      })
      return this.#flushing
    }
    this.#nextFlush ??= this.#flushing.then(() => {
      this.#nextFlush = undefined
      return this.#flushOrders()
    })
    return this.#nextFlush
  }

  async #tellOrders(): Promise<void> {
    const waiting = [...this.#orders]
    for (let from = 0; from < waiting.length && this.#settings.available(); from += MAX_ORDERS_AT_A_TIME) {
      const some = waiting.slice(from, from + MAX_ORDERS_AT_A_TIME)
      const told = await Promise.all(some.map(([address, order]) => this.#tellOrder(address, order)))
      // The others would fail, too. They wait for the next opportunity.
      if (told.includes(false)) {
        this.#failures += 1
        return
      }
    }
  }

  /** False when the store did not answer. */
  async #tellOrder(address: string, order: Order): Promise<boolean> {
    // Somebody decided something else meanwhile.
    if (this.#orders.get(address) !== order) return true
    order.state = 'on-its-way'
    try {
      const block = await this.#tell(address, order)
      order.state = 'told'
      if (this.#orders.get(address) !== order) return true
      this.#orders.delete(address)
      if (block !== undefined) this.#settings.local.adopt(block, true)
      return true
    } catch {
      order.state = 'waiting'
      return false
    }
  }

  /** Answers the block that came of it. */
  async #tell(address: string, order: Order): Promise<StoredBlock | undefined> {
    const { store, clock } = this.#settings
    const { untilMs, reason } = order
    if (untilMs === undefined) {
      order.found = await store.lift(address)
      return undefined
    }
    const ms = untilMs - clock.nowMs()
    return ms > 0 ? store.hold(address, ms, reason) : undefined
  }
}
