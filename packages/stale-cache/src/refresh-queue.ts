/*
 * Keys that somebody saw stale or missing, waiting for the next batch.
 *
 * Two lanes. Keys the cache holds something for ('known') are never pushed out by keys it has never seen
 * ('unknown': visitors make those up), never wait behind them, and never share a load with them, so that one
 * made-up key that makes the source fail cannot keep real ones from being refreshed. Each lane has its own
 * bound; a key beyond it is refused and counted by the caller.
 */
export type Lane = 'known' | 'unknown'

export class RefreshQueue {
  readonly #lanes: Record<Lane, Set<string>> = { known: new Set(), unknown: new Set() }
  readonly #maxKeys: Record<Lane, number>
  #turn: Lane = 'known'

  constructor(maxKeys: Record<Lane, number>) {
    this.#maxKeys = maxKeys
  }

  get size(): number {
    return this.#lanes.known.size + this.#lanes.unknown.size
  }

  /** 'queued', 'waiting' when it already was, or 'full'. */
  add(key: string, lane: Lane): 'queued' | 'waiting' | 'full' {
    const keys = this.#lanes[lane]
    if (keys.has(key)) return 'waiting'
    if (keys.size >= this.#maxKeys[lane]) return 'full'
    keys.add(key)
    return 'queued'
  }

  /** Takes a key out: somebody loads it now, or it must not be loaded. */
  remove(key: string): void {
    this.#lanes.known.delete(key)
    this.#lanes.unknown.delete(key)
  }

  /** The next batch: keys of one lane, oldest first. The lanes take turns when both have keys. */
  take(maxKeys: number): { readonly lane: Lane; readonly keys: readonly string[] } {
    const other: Lane = this.#turn === 'known' ? 'unknown' : 'known'
    const lane = this.#lanes[this.#turn].size > 0 ? this.#turn : other
    this.#turn = lane === 'known' ? 'unknown' : 'known'
    const waiting = this.#lanes[lane]
    const keys: string[] = []
    for (const key of waiting) {
      if (keys.length >= maxKeys) break
      keys.push(key)
      waiting.delete(key)
    }
    return { lane, keys }
  }

  clear(): void {
    this.#lanes.known.clear()
    this.#lanes.unknown.clear()
  }
}
