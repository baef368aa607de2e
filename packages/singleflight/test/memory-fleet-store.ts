/** The contract of `FleetStore` in memory: the model that the flights of several simulated processes meet in. */
import type { HandClock } from '@holdfast/test-kit'
import type {
  Acquired,
  AcquireRequest,
  FleetListener,
  FleetMessage,
  FleetStore,
  Landing,
  Stored,
} from '../src/fleet-store.ts'

interface Entry {
  lease?: { readonly fence: number; readonly token: string; readonly untilMs: number } | undefined
  lastFence: number
  result?: (Stored & { readonly untilMs: number }) | undefined
  failure?: (Stored & { readonly kind: 'failure' | 'alone'; readonly untilMs: number }) | undefined
}

const NOTHING = Buffer.alloc(0)

/** What all processes share. */
export class FleetMemory {
  readonly #clock: HandClock
  readonly #entries = new Map<string, Entry>()
  readonly #stores = new Set<MemoryFleetStore>()
  readonly maxInlineBytes = 16_384
  /** Every fence that was granted, by id. */
  readonly granted = new Map<string, number[]>()

  constructor(clock: HandClock) {
    this.#clock = clock
  }

  /** A process. */
  connect(): MemoryFleetStore {
    const store = new MemoryFleetStore(this, this.#clock)
    this.#stores.add(store)
    return store
  }

  /** Loses everything, fences included. */
  flush(): void {
    this.#entries.clear()
  }

  acquire({ id, token, leaseMs, minFence, minIntervalMs }: AcquireRequest): Acquired {
    const entry = this.#entry(id)
    const nowMs = this.#clock.wallMs()
    const { result, failure, lease } = entry
    let stale: Stored | undefined
    if (result !== undefined) {
      const stored = { fence: result.fence, payload: result.payload }
      if (result.fence >= minFence) return { kind: 'value', ...stored }
      stale = stored
    }
    if (failure !== undefined) {
      const { kind, fence, payload } = failure
      return kind === 'alone' ? { kind, fence } : { kind, fence, payload }
    }
    if (lease !== undefined) {
      if (lease.token === token) return { kind: 'lead', fence: lease.fence }
      return { kind: 'wait', fence: lease.fence, leftMs: lease.untilMs - nowMs, stale }
    }
    const limitedMs = minIntervalMs - Math.floor((nowMs * 1000 - entry.lastFence) / 1000)
    if (entry.lastFence > 0 && minIntervalMs > 0 && limitedMs > 0) {
      return { kind: 'wait', fence: entry.lastFence, leftMs: Math.min(limitedMs, minIntervalMs), stale }
    }
    const fence = this.#fenceAfter(entry)
    entry.lastFence = fence
    entry.lease = { fence, token, untilMs: nowMs + leaseMs }
    this.granted.set(id, [...(this.granted.get(id) ?? []), fence])
    return { kind: 'lead', fence }
  }

  renew(id: string, token: string, leaseMs: number): boolean {
    const entry = this.#entry(id)
    if (entry.lease?.token !== token) return false
    entry.lease = { ...entry.lease, untilMs: this.#clock.wallMs() + leaseMs }
    return true
  }

  publish(id: string, token: string, { kind, payload, ttlMs }: Landing): boolean {
    const entry = this.#entry(id)
    if (entry.lease?.token !== token) return false
    const { fence } = entry.lease
    const untilMs = this.#clock.wallMs() + ttlMs
    if (kind === 'value') {
      entry.result = { fence, payload, untilMs }
      entry.failure = undefined
    } else if (ttlMs > 0) {
      entry.failure = { kind, fence, payload, untilMs }
    }
    entry.lease = undefined
    if (payload.length <= this.maxInlineBytes) this.#tell({ kind, id, fence, payload })
    else this.#tell({ kind: 'landed', id, fence, payload: NOTHING })
    return true
  }

  release(id: string, token: string): boolean {
    const entry = this.#entry(id)
    if (entry.lease?.token !== token) return false
    const { fence } = entry.lease
    entry.lease = undefined
    this.#tell({ kind: 'released', id, fence, payload: NOTHING })
    return true
  }

  forget(id: string): void {
    const entry = this.#entry(id)
    entry.lease = undefined
    entry.result = undefined
    entry.failure = undefined
    this.#tell({ kind: 'forgotten', id, fence: this.#fenceAfter(entry), payload: NOTHING })
  }

  #fenceAfter({ lastFence }: Entry): number {
    return Math.max(lastFence + 1, this.#clock.wallMs() * 1000)
  }

  #entry(id: string): Entry {
    const nowMs = this.#clock.wallMs()
    const entry = this.#entries.get(id) ?? { lastFence: 0 }
    this.#entries.set(id, entry)
    if (entry.lease !== undefined && entry.lease.untilMs <= nowMs) entry.lease = undefined
    if (entry.result !== undefined && entry.result.untilMs <= nowMs) entry.result = undefined
    if (entry.failure !== undefined && entry.failure.untilMs <= nowMs) entry.failure = undefined
    return entry
  }

  #tell(message: FleetMessage): void {
    for (const store of this.#stores) store.hear(message)
  }
}

/** How one operation of one process goes wrong, or how long it takes. */
export interface Weather {
  /** Before it reaches the memory. */
  readonly delayMs: number
  readonly fails: 'no' | 'before' | 'after'
  /** Until a message arrives; undefined when it is lost. */
  readonly messageMs: () => number | undefined
}

const fairWeather: Weather = { delayMs: 0, fails: 'no', messageMs: () => 0 }

/** One process's way to the memory. */
export class MemoryFleetStore implements FleetStore {
  available = true
  listening = true
  /** What the next operation meets. */
  weather: () => Weather = () => fairWeather
  readonly #memory: FleetMemory
  readonly #clock: HandClock
  readonly #listeners = new Set<FleetListener>()
  #dead = false

  constructor(memory: FleetMemory, clock: HandClock) {
    this.#memory = memory
    this.#clock = clock
  }

  /** SIGKILL: nothing reaches the memory or comes from it any more, and no answer arrives. */
  kill(): void {
    this.#dead = true
  }

  /** The connection is lost, or comes back. */
  setAvailable(available: boolean): void {
    this.available = available
    for (const listener of this.#listeners) {
      if (!available) listener.onUnavailable()
      else {
        listener.onGap()
        listener.onAvailable()
      }
    }
  }

  setListening(listening: boolean): void {
    this.listening = listening
    for (const listener of this.#listeners) listener.onGap()
  }

  hear(message: FleetMessage): void {
    const delayMs = this.weather().messageMs()
    if (delayMs === undefined || !this.listening || !this.available) return
    const deliver = () => {
      if (this.#dead) return
      for (const listener of this.#listeners) listener.onMessage(message)
    }
    this.#clock.schedule(delayMs, deliver)
  }

  acquire(request: AcquireRequest): Promise<Acquired> {
    return this.#call(() => this.#memory.acquire(request))
  }

  renew(id: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#call(() => this.#memory.renew(id, token, leaseMs))
  }

  publish(id: string, token: string, landing: Landing): Promise<boolean> {
    return this.#call(() => this.#memory.publish(id, token, landing))
  }

  release(id: string, token: string): Promise<boolean> {
    return this.#call(() => this.#memory.release(id, token))
  }

  forget(id: string): Promise<void> {
    return this.#call(() => this.#memory.forget(id))
  }

  listen(listener: FleetListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async #call<T>(operation: () => T): Promise<T> {
    if (!this.available) throw new Error('the store is not available')
    const { delayMs, fails } = this.weather()
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.schedule(delayMs, resolve))
    if (this.#dead) return new Promise(() => undefined)
    if (fails === 'before') throw new Error('the store did not get it')
    const answer = operation()
    if (fails === 'after') throw new Error('the answer of the store was lost')
    return answer
  }
}
