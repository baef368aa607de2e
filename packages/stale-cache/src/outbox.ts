/*
 * What the fleet has not been told yet: the last thing per key (or tag), oldest first. Values are not in here, they
 * are taken from what is held when it is sent, so that a queue of an hour holds no hour of values.
 */

/** Something to tell. */
export interface Notice {
  readonly kind: 'store' | 'missing' | 'invalidate' | 'tag' | 'failed' | 'release'
  readonly name: string
  /** When what it tells of began. */
  readonly asOfMs: number
  /** The fence of the load that tells it, where it had one. */
  readonly fence: number | undefined
  /** The fence of a lease to give back with it. */
  readonly lease: number | undefined
  /** Why a load failed. */
  readonly reason?: string
}

export class Outbox {
  readonly #max: number
  readonly #notices = new Map<string, Notice>()
  /** Those that are on their way. */
  readonly #sent = new Set<Notice>()
  #dropped = 0

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#notices.size
  }

  /** Notices that have not arrived. */
  get waiting(): number {
    return this.#notices.size + this.#sent.size
  }

  /** Notices that had to make room for later ones. */
  get dropped(): number {
    return this.#dropped
  }

  /** The later one of a key stays; its lease is given back with whichever stays. */
  add(notice: Notice): void {
    const id = idOf(notice)
    const known = this.#notices.get(id)
    const later = known !== undefined && known.asOfMs > notice.asOfMs ? known : notice
    this.#notices.delete(id)
    if (this.#notices.size >= this.#max) {
      const [oldest] = this.#notices.keys()
      if (oldest !== undefined) this.#notices.delete(oldest)
      this.#dropped += 1
    }
    if (this.#max > 0) this.#notices.set(id, { ...later, lease: notice.lease ?? known?.lease })
  }

  /** Up to `count` of the oldest; they are on their way until `settle` or `restore`. */
  take(count: number): readonly Notice[] {
    const taken: Notice[] = []
    for (const [id, notice] of this.#notices) {
      if (taken.length >= count) break
      this.#notices.delete(id)
      this.#sent.add(notice)
      taken.push(notice)
    }
    return taken
  }

  /** It has arrived. */
  settle(notice: Notice): void {
    this.#sent.delete(notice)
  }

  /** Puts back what could not be sent, unless something later has come meanwhile. */
  restore(notice: Notice): void {
    this.#sent.delete(notice)
    const passing = notice.kind === 'failed' || notice.kind === 'release'
    if (!passing && !this.#notices.has(idOf(notice))) this.add(notice)
  }

  /** Whether this key, or one of the tags, was declared outdated and the fleet may not know. */
  outdates(key: string, tags: readonly string[]): boolean {
    const ids = [`k${key}`, ...tags.map((tag) => `t${tag}`)]
    const says = (notice: Notice | undefined) => notice?.kind === 'invalidate' || notice?.kind === 'tag'
    if (ids.some((id) => says(this.#notices.get(id)))) return true
    for (const notice of this.#sent) if (says(notice) && ids.includes(idOf(notice))) return true
    return false
  }

  clear(): void {
    this.#notices.clear()
  }
}

function idOf({ kind, name }: Notice): string {
  return `${kind === 'tag' ? 't' : 'k'}${name}`
}
