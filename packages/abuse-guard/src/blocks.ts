/**
 * Who is blocked at present, and who was so lately that the next block would be longer. Bounded: when it is full, what
 * ends first makes room. A lookup compares the bits of a subject, so nobody is blocked for somebody else. No timers:
 * a block ends by being looked at after its time, and `sweep()` takes out what nobody looks at.
 */
import { type EscalationPolicy, forgottenAtMs, type Offences } from './escalation.ts'
import { type Subject, subjectHash } from './subject.ts'

/** Who asked for a block: the counts, or a person. */
export type BlockOrigin = 'automatic' | 'manual'

/** One block. Times are of the monotonic clock. */
export interface Block extends Offences {
  readonly subject: Subject
  readonly reason: string
  readonly origin: BlockOrigin
  /** When it began. */
  readonly sinceMs: number
  /** Requests that this process refused because of it. */
  refused: number
  /** Whether other processes know it. */
  shared: boolean
}

/** The blocks by their subject. */
export class Blocks {
  readonly #max: number
  readonly #policy: EscalationPolicy
  readonly #seed: number
  /** By hash; subjects with one hash stand in one list. */
  readonly #byHash = new Map<number, Block[]>()
  #size = 0
  #dropped = 0
  readonly #ofBits = new Map<number, number>()

  constructor(max: number, policy: EscalationPolicy, seed: number) {
    this.#max = max
    this.#policy = policy
    this.#seed = seed
  }

  /** Blocks and what is remembered of ended ones. */
  get size(): number {
    return this.#size
  }

  /** Blocks that ended early, because there were too many. */
  get dropped(): number {
    return this.#dropped
  }

  /** Whether there is anything about subjects of this length. */
  hasBits(bits: number): boolean {
    return (this.#ofBits.get(bits) ?? 0) > 0
  }

  /** The block that holds at `nowMs`. */
  active(subject: Subject, nowMs: number): Block | undefined {
    if (this.#size === 0) return undefined
    const block = this.get(subject)
    return block !== undefined && block.untilMs > nowMs ? block : undefined
  }

  /** The block, or what is remembered of it. */
  get({ bits, a, b }: Subject): Block | undefined {
    const list = this.#byHash.get(subjectHash(this.#seed, bits, a, b))
    return list?.find(({ subject }) => subject.a === a && subject.b === b && subject.bits === bits)
  }

  /** Puts a block in the place of the one its subject had. */
  set(block: Block, nowMs: number): void {
    this.delete(block.subject)
    if (this.#size >= this.#max) this.#makeRoom(nowMs)
    const { bits, a, b } = block.subject
    const hash = subjectHash(this.#seed, bits, a, b)
    const list = this.#byHash.get(hash)
    if (list === undefined) this.#byHash.set(hash, [block])
    else list.push(block)
    this.#size += 1
    this.#ofBits.set(bits, (this.#ofBits.get(bits) ?? 0) + 1)
  }

  /** Forgets a block and the offences; false when there was none. */
  delete(subject: Subject): boolean {
    const block = this.get(subject)
    if (block === undefined) return false
    const { bits, a, b } = subject
    const hash = subjectHash(this.#seed, bits, a, b)
    const rest = (this.#byHash.get(hash) ?? []).filter((one) => one !== block)
    if (rest.length === 0) this.#byHash.delete(hash)
    else this.#byHash.set(hash, rest)
    this.#size -= 1
    this.#ofBits.set(bits, (this.#ofBits.get(bits) ?? 0) - 1)
    return true
  }

  /** Takes out what counts no more. */
  sweep(nowMs: number): void {
    for (const block of this.#all()) {
      if (forgottenAtMs(block, this.#policy) <= nowMs && block.untilMs <= nowMs) this.delete(block.subject)
    }
  }

  /** The blocks that hold at `nowMs`, the latest first. */
  list(nowMs: number): Block[] {
    return this.#all()
      .filter(({ untilMs }) => untilMs > nowMs)
      .sort((one, other) => other.sinceMs - one.sinceMs)
  }

  #all(): Block[] {
    return [...this.#byHash.values()].flat()
  }

  /** Ended ones go first, and then whoever would be free first. */
  #makeRoom(nowMs: number): void {
    let first: Block | undefined
    for (const list of this.#byHash.values()) {
      for (const block of list) {
        if (first === undefined || block.untilMs < first.untilMs) first = block
      }
    }
    if (first === undefined) return
    this.delete(first.subject)
    if (first.untilMs > nowMs) this.#dropped += 1
  }
}
