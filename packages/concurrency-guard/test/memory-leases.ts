/** Leases in memory that several guards share as processes share a Redis, with every way to lose them. */

import { Heartbeat } from '@holdfast/redis-guard'
import type { HandClock } from '@holdfast/test-kit'
import type { HeldLease, LeasedElsewhere, LeaseStore } from '../src/index.ts'

interface Held {
  readonly token: object
  readonly fence: number
  untilMs: number
}

/** What all processes share. */
export class MemoryLeases {
  readonly clock: HandClock
  readonly #held = new Map<string, Held>()
  #fence = 1000

  constructor(clock: HandClock) {
    this.clock = clock
  }

  /** How many are held now. */
  get count(): number {
    return [...this.#held.values()].filter(({ untilMs }) => untilMs > this.clock.nowMs()).length
  }

  acquire(name: string, token: object, leaseMs: number): { fence: number } | LeasedElsewhere {
    const held = this.#current(name)
    if (held !== undefined) return { held: false, retryAfterMs: held.untilMs - this.clock.nowMs() }
    this.#fence += 1
    this.#held.set(name, { token, fence: this.#fence, untilMs: this.clock.nowMs() + leaseMs })
    return { fence: this.#fence }
  }

  renew(name: string, token: object, leaseMs: number): boolean {
    const held = this.#current(name)
    if (held?.token !== token) return false
    held.untilMs = this.clock.nowMs() + leaseMs
    return true
  }

  release(name: string, token: object): boolean {
    return this.#current(name)?.token === token && this.#held.delete(name)
  }

  /** What the server forgets when it loses its data. */
  clear(): void {
    this.#held.clear()
  }

  /** The view of one process. */
  store(): ControlledStore {
    return new ControlledStore(this)
  }

  #current(name: string): Held | undefined {
    const held = this.#held.get(name)
    return held !== undefined && held.untilMs > this.clock.nowMs() ? held : undefined
  }
}

export class ControlledStore implements LeaseStore {
  readonly lease: LeaseStore['lease']
  available = true
  /** How many times it was asked for a lease. */
  asked = 0
  readonly #leases: MemoryLeases
  readonly #listeners = new Set<(state: string) => void>()
  #answering: Promise<void> = Promise.resolve()
  #letAnswer: (() => void) | undefined
  #failure: Error | undefined
  #owed: (() => void)[] = []

  constructor(leases: MemoryLeases) {
    this.#leases = leases
    this.lease = { acquire: (name, { leaseMs }) => this.#acquire(JSON.stringify(name), leaseMs) }
  }

  get listeners(): number {
    return this.#listeners.size
  }

  onStateChange(listener: (state: string) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Answers nothing until `answer()`; what is asked meanwhile happens. */
  hold(): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#answering = promise
    this.#letAnswer = resolve
  }

  answer(): void {
    this.#letAnswer?.()
  }

  /** Calls fail from now on, also those that happened and wait for their answer; `available` as told. */
  lose(available = false): void {
    this.available = available
    this.#failure = new Error('lost')
    this.answer()
    if (!available) this.#tell('down')
  }

  restore(): void {
    this.heal()
    this.#tell('up')
  }

  /** Calls succeed again, and no change of the state is told: there was none. */
  heal(): void {
    this.available = true
    this.#failure = undefined
    for (const give of this.#owed.splice(0)) give()
  }

  #tell(state: string): void {
    for (const listener of [...this.#listeners]) listener(state)
  }

  async #acquire(name: string, leaseMs: number): Promise<HeldLease | LeasedElsewhere> {
    this.asked += 1
    if (this.#failure !== undefined) throw this.#failure
    const leases = this.#leases
    const { clock } = leases
    const token = {}
    const grantedAtMs = clock.nowMs()
    const answer = leases.acquire(name, token, leaseMs)
    await this.#answering
    if (this.#failure !== undefined) {
      this.#owed.push(() => leases.release(name, token))
      throw this.#failure
    }
    if ('held' in answer) return answer
    let controller: AbortController | undefined
    let heartbeat: Heartbeat | undefined
    return {
      held: true,
      fence: answer.fence,
      keep: () => {
        if (controller !== undefined) return controller.signal
        const own = new AbortController()
        controller = own
        heartbeat = new Heartbeat({
          leaseMs,
          grantedAtMs,
          clock,
          renew: () => this.#call(() => leases.renew(name, token, leaseMs)),
          onLost: (loss) => {
            heartbeat?.stop()
            own.abort(new Error(loss))
          },
        })
        return own.signal
      },
      release: () => {
        heartbeat?.stop()
        return this.#call(() => leases.release(name, token))
      },
    }
  }

  async #call<T>(command: () => T): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure
    const value = command()
    await this.#answering
    if (this.#failure !== undefined) throw this.#failure
    return value
  }
}
