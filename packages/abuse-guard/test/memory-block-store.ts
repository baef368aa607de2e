/** A store in this process: what the contract means, in the words of `escalation.ts`, for comparison with Redis. */
import type { Clock } from '@holdfast/footing'
import { type EscalationPolicy, nextBlock, offencesAt } from '../src/escalation.ts'
import type { BlockStore, Changes, Cursor, StoredBlock } from '../src/store.ts'

interface Record {
  untilMs: number
  offences: number
  sinceMs: number
  origin: StoredBlock['origin']
  reason: string
  version: number
}

export class MemoryBlockStore implements BlockStore {
  readonly #policy: EscalationPolicy
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #listeners = new Set<() => void>()
  #records = new Map<string, Record>()
  readonly #counts = new Map<string, Map<number, number>>()
  #epoch = 1
  #version = 0
  #rows: number
  /** Rejects everything while true. */
  down = false
  writes = 0

  constructor(policy: EscalationPolicy, clock: Pick<Clock, 'wallMs'>, rows = 200) {
    this.#policy = policy
    this.#clock = clock
    this.#rows = rows
  }

  /** Forgets everything, as FLUSHALL does. */
  lose(): void {
    this.#records = new Map()
    this.#version = 0
    this.#epoch += 1
  }

  async punish(address: string, reason: string): Promise<StoredBlock> {
    this.#check()
    const nowMs = this.#clock.wallMs()
    const known = this.#records.get(address)
    this.#counts.delete(address)
    if (known !== undefined && known.untilMs > nowMs) return this.#stored(address, known)
    return this.#write(address, {
      ...nextBlock(known, nowMs, this.#policy),
      sinceMs: nowMs,
      origin: 'automatic',
      reason,
    })
  }

  async hold(address: string, ms: number, reason: string): Promise<StoredBlock> {
    this.#check()
    const nowMs = this.#clock.wallMs()
    const offences = offencesAt(this.#records.get(address), nowMs, this.#policy)
    return this.#write(address, { untilMs: nowMs + ms, offences, sinceMs: nowMs, origin: 'manual', reason })
  }

  async restore(block: StoredBlock): Promise<StoredBlock> {
    this.#check()
    const nowMs = this.#clock.wallMs()
    const known = this.#records.get(block.address)
    if (known !== undefined && known.untilMs > nowMs - block.ageMs) return this.#stored(block.address, known)
    const { remainingMs, ageMs, offences, origin, reason } = block
    return this.#write(block.address, {
      untilMs: nowMs + remainingMs,
      sinceMs: nowMs - ageMs,
      offences,
      origin,
      reason,
    })
  }

  async lift(address: string): Promise<boolean> {
    this.#check()
    const nowMs = this.#clock.wallMs()
    const known = this.#records.get(address)
    const found = known !== undefined && (known.untilMs > nowMs || offencesAt(known, nowMs, this.#policy) > 0)
    this.#counts.delete(address)
    this.#write(address, { untilMs: nowMs, sinceMs: nowMs, offences: 0, origin: 'manual', reason: '' })
    return found
  }

  async changes(cursor: Cursor | undefined): Promise<Changes> {
    this.#check()
    const epoch = this.#version === 0 ? '' : String(this.#epoch)
    const known = (cursor?.epoch ?? '') === epoch && (cursor?.version ?? 0) <= this.#version
    const since = known ? (cursor?.version ?? 0) : 0
    const rows = [...this.#records]
      .filter(([, { version }]) => version > since)
      .sort(([, one], [, other]) => one.version - other.version)
    const shown = rows.slice(0, this.#rows)
    const more = rows.length > shown.length
    return {
      cursor: { epoch, version: more ? (shown.at(-1)?.[1].version ?? 0) : this.#version },
      fromTheStart: !known,
      more,
      blocks: shown.map(([address, record]) => this.#stored(address, record)),
    }
  }

  async count(address: string, requests: number): Promise<number> {
    this.#check()
    const slot = Math.floor(this.#clock.wallMs() / 5000)
    const slots = this.#counts.get(address) ?? new Map<number, number>()
    this.#counts.set(address, slots.set(slot, (slots.get(slot) ?? 0) + requests))
    return [...slots].reduce((sum, [at, count]) => (at > slot - 11 ? sum + count : sum), 0)
  }

  onChange(callback: () => void): () => void {
    this.#listeners.add(callback)
    return () => this.#listeners.delete(callback)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  #check(): void {
    if (this.down) throw new Error('the store is down')
  }

  #write(address: string, record: Omit<Record, 'version'>): StoredBlock {
    this.#version += 1
    this.writes += 1
    const written = { ...record, version: this.#version }
    this.#records.set(address, written)
    const nowMs = this.#clock.wallMs()
    for (const [old, { untilMs, offences }] of this.#records) {
      if (untilMs + Math.max(1, offences) * this.#policy.decayMs <= nowMs) this.#records.delete(old)
    }
    for (const listener of this.#listeners) queueMicrotask(listener)
    return this.#stored(address, written)
  }

  #stored(address: string, { untilMs, sinceMs, offences, origin, reason }: Record): StoredBlock {
    const nowMs = this.#clock.wallMs()
    return {
      address,
      remainingMs: Math.max(0, untilMs - nowMs),
      ageMs: nowMs - sinceMs,
      offences,
      origin,
      reason,
    }
  }
}
