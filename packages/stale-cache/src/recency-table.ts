/*
 * A map with two bounds, entries and bytes, that lets go of the entry nobody has read for the longest time.
 *
 * Guarantees: after every call `size <= maxEntries` and `bytes <= maxBytes`; `get` is O(1) and moves four
 * pointers at most, so that a hit stays cheap. Knows neither time nor values: what an entry weighs is told by
 * whoever stores it.
 */
interface Node<E> {
  readonly key: string
  entry: E
  bytes: number
  newer: Node<E> | undefined
  older: Node<E> | undefined
}

export interface TableBounds {
  readonly maxEntries: number
  readonly maxBytes: number
}

export class RecencyTable<E> {
  readonly #nodes = new Map<string, Node<E>>()
  readonly #bounds: TableBounds
  readonly #onLeave: (entry: E, evicted: boolean) => void
  #newest: Node<E> | undefined = undefined
  #oldest: Node<E> | undefined = undefined
  #bytes = 0

  /** `onLeave` is told of every entry that is deleted, replaced or evicted. */
  constructor(bounds: TableBounds, onLeave: (entry: E, evicted: boolean) => void = () => {}) {
    this.#bounds = bounds
    this.#onLeave = onLeave
  }

  get size(): number {
    return this.#nodes.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The entry of this key, which becomes the most recently read. */
  get(key: string): E | undefined {
    const node = this.#nodes.get(key)
    if (node === undefined) return undefined
    if (node !== this.#newest) {
      this.#unlink(node)
      this.#linkNewest(node)
    }
    return node.entry
  }

  /** The entry of this key; its place in the order stays. */
  look(key: string): E | undefined {
    return this.#nodes.get(key)?.entry
  }

  /**
   * Stores an entry as the most recently read, and evicts from the other end what no longer fits.
   * Returns false, and changes nothing, when the entry alone is larger than `maxBytes`.
   */
  set(key: string, entry: E, bytes: number): boolean {
    if (bytes > this.#bounds.maxBytes || this.#bounds.maxEntries === 0) return false
    this.#remove(key, false)
    const node: Node<E> = { key, entry, bytes, newer: undefined, older: undefined }
    this.#nodes.set(key, node)
    this.#linkNewest(node)
    this.#bytes += bytes
    this.#evict()
    return true
  }

  /** Corrects the weight of what is held, and evicts what no longer fits: itself, if it alone is too large. */
  reweigh(key: string, bytes: number): void {
    const node = this.#nodes.get(key)
    if (node === undefined) return
    this.#bytes += bytes - node.bytes
    node.bytes = bytes
    this.#evict()
  }

  delete(key: string): boolean {
    return this.#remove(key, false)
  }

  /** All entries, the most recently read first. Copied, so that it survives changes while it is walked. */
  entries(): E[] {
    const entries: E[] = []
    for (let node = this.#newest; node !== undefined; node = node.older) entries.push(node.entry)
    return entries
  }

  #evict(): void {
    const { maxEntries, maxBytes } = this.#bounds
    while (this.#oldest !== undefined && (this.#nodes.size > maxEntries || this.#bytes > maxBytes)) {
      this.#remove(this.#oldest.key, true)
    }
  }

  #remove(key: string, evicted: boolean): boolean {
    const node = this.#nodes.get(key)
    if (node === undefined) return false
    this.#nodes.delete(key)
    this.#unlink(node)
    this.#bytes -= node.bytes
    this.#onLeave(node.entry, evicted)
    return true
  }

  #linkNewest(node: Node<E>): void {
    node.older = this.#newest
    node.newer = undefined
    if (this.#newest === undefined) this.#oldest = node
    else this.#newest.newer = node
    this.#newest = node
  }

  #unlink(node: Node<E>): void {
    if (node.newer === undefined) this.#newest = node.older
    else node.newer.older = node.older
    if (node.older === undefined) this.#oldest = node.newer
    else node.older.newer = node.newer
  }
}
