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
  /** The largest fence that was known here when it happened: what has no fence of its own comes after that. */
  readonly seen?: number
  /** Whether what others hold is outdated, even if this process's value cannot be shared. */
  readonly outdates?: boolean
}

/** Leases and failures are of no interest once Redis was away, and never push out news. */
export function isPassing({ kind }: Notice): boolean {
  return kind === 'failed' || kind === 'release'
}

export class Outbox {
  readonly #notices = new Map<string, Notice>()
  /** Those that are on their way. */
  readonly #sent = new Set<Notice>()
  #dropped = 0

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

  /**
   * The later one of a key stays; its lease is given back with whichever stays. At most `max` wait, the oldest make
   * room. Where more wait already, because `max` was larger a moment ago, each newcomer takes the place of one.
   */
  add(notice: Notice, max: number): void {
    const bound = Math.max(max, this.waiting)
    const id = idOf(notice)
    const known = this.#notices.get(id)
    this.#notices.delete(id)
    this.#notices.set(id, known === undefined ? notice : merged(known, notice))
    for (const oldest of this.#notices.keys()) {
      if (this.waiting <= bound) break
      this.#notices.delete(oldest)
      this.#dropped += 1
    }
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

  /** Puts back what could not be sent, unless something later has come meanwhile, or nothing may wait. */
  restore(notice: Notice, max: number): void {
    const bound = max === 0 ? 0 : Math.max(max, this.waiting)
    this.#sent.delete(notice)
    if (!isPassing(notice) && !this.#notices.has(idOf(notice))) this.add(notice, bound)
  }

  /** Whether there is news of this key that may not have arrived. */
  has(key: string): boolean {
    const id = `k${key}`
    if (this.#notices.has(id)) return true
    for (const notice of this.#sent) if (idOf(notice) === id) return true
    return false
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

function merged(known: Notice, notice: Notice): Notice {
  const keepsKnown = isPassing(known) === isPassing(notice) ? known.asOfMs > notice.asOfMs : isPassing(notice)
  const outdates = [known, notice].some(({ kind, outdates }) => outdates === true || kind === 'invalidate')
  const lease = notice.lease ?? known.lease
  return { ...(keepsKnown ? known : notice), lease, ...(outdates && { outdates }) }
}

function idOf({ kind, name }: Notice): string {
  return `${kind === 'tag' ? 't' : 'k'}${name}`
}
