/**
 * The blocks of this process, and who hears of them. A block is made here by counting or by a person, or it is learnt
 * from other processes; each beginning and end is told to the log and on a channel, by whoever decided it as something
 * to know, by the others as a detail.
 */
import type { Clock } from '@holdfast/footing'
import { type Block, Blocks } from './blocks.ts'
import { nextBlock, type Offences } from './escalation.ts'
import { publishBlock, publishUnblock } from './events.ts'
import type { Log } from './log.ts'
import { type GuardOptions, MAX_HOLD_MS } from './options.ts'
import { COUNTED_MS } from './request-counts.ts'
import type { StoredBlock } from './store.ts'
import { around, networkOf, readSubject, type Subject, subjectText, widened } from './subject.ts'

/** What has happened so far. */
export interface BlockCounts {
  readonly blocks: { readonly automatic: number; readonly manual: number; readonly learnt: number }
  readonly lifted: number
}

type Settings = Pick<GuardOptions, 'maxBlocks' | 'policy' | 'seed' | 'allow' | 'clock'> & {
  readonly log: Log
}

/** The blocks of one process. */
export class BlockRegister {
  readonly #settings: Settings
  readonly #clock: Clock
  readonly #log: Log
  readonly #blocks: Blocks
  readonly #counts = { automatic: 0, manual: 0, learnt: 0 }
  #lifted = 0

  constructor(settings: Settings) {
    const { maxBlocks, policy, seed, clock, log } = settings
    this.#settings = settings
    this.#clock = clock
    this.#log = log
    this.#blocks = new Blocks(maxBlocks, policy, seed | 0)
  }

  /** Blocks dropped before their time for lack of room. */
  get dropped(): number {
    return this.#blocks.dropped
  }

  counts(): BlockCounts {
    return { blocks: { ...this.#counts }, lifted: this.#lifted }
  }

  /** The block of an address, or of a network around it: what every request asks. */
  refusing(subject: Subject, nowMs: number): Block | undefined {
    const blocks = this.#blocks
    if (blocks.size === 0) return undefined
    const own = blocks.active(subject, nowMs)
    if (own !== undefined || subject.bits === 32) return own
    if (blocks.hasBits(56)) {
      const wider = blocks.active(widened(subject, 56), nowMs)
      if (wider !== undefined) return wider
    }
    return blocks.hasBits(48) ? blocks.active(widened(subject, 48), nowMs) : undefined
  }

  /** The same for a network, too. */
  holding(subject: Subject, nowMs: number): Block | undefined {
    for (const one of around(subject)) {
      const block = this.#blocks.active(one, nowMs)
      if (block !== undefined) return block
    }
    return undefined
  }

  /** The block of this very subject, or what is remembered of it. */
  get(subject: Subject): Block | undefined {
    return this.#blocks.get(subject)
  }

  /** The blocks that hold at `nowMs`, the latest first. */
  list(nowMs: number): Block[] {
    return this.#blocks.list(nowMs)
  }

  /** Blocks who sent too much, by the rules of escalation. */
  punish(subject: Subject, reason: string, nowMs: number): Block {
    const next = nextBlock(this.#blocks.get(subject), nowMs, this.#settings.policy)
    return this.#put(subject, { ...next, reason, origin: 'automatic' }, nowMs)
  }

  /** Blocks for as long as a person says. */
  hold(subject: Subject, ms: number, reason: string, nowMs: number): Block {
    const offences = this.#blocks.get(subject)?.offences ?? 0
    return this.#put(subject, { untilMs: nowMs + ms, offences, reason, origin: 'manual' }, nowMs)
  }

  /** Ends the block that a person lifts, and forgets the offences; false when nothing was known. */
  lift(subject: Subject, nowMs: number): boolean {
    const held = this.#blocks.active(subject, nowMs) !== undefined
    const known = this.#blocks.delete(subject)
    if (held) {
      this.#lifted += 1
      publishUnblock({ address: subjectText(subject), learnt: false })
      this.#log.info({ address: subjectText(subject) }, 'address unblocked')
    }
    return known
  }

  /**
   * Takes over what the store says about an address; answers the subject that was freed by that, also where no block of
   * it runs: it is counted from 0 again. `decided`: the store had heard of the block of this process when it said so.
   */
  adopt(stored: StoredBlock, decided: boolean): Subject | undefined {
    const subject = readSubject(stored.address)
    if (subject === undefined || this.#settings.allow.overlaps(networkOf(subject))) return undefined
    const nowMs = this.#clock.nowMs()
    const known = this.#blocks.get(subject)
    const running = known !== undefined && known.untilMs > nowMs ? known : undefined
    if (stored.remainingMs > 0) {
      this.#learn(subject, stored, running, nowMs)
      return undefined
    }
    if (running === undefined) {
      if (stored.offences > 0) return undefined
      // Somebody was freed after his block had ended, or before he had one.
      this.#blocks.delete(subject)
      // Whoever reads everything again reads also of those freed long ago: what is counted of them came since.
      return stored.ageMs < COUNTED_MS ? subject : undefined
    }
    // A block that the store has not heard of is not ended by it.
    if (!(running.shared || decided)) return undefined
    this.#blocks.delete(subject)
    this.#lifted += 1
    publishUnblock({ address: stored.address, learnt: true })
    this.#log.debug({ address: stored.address }, 'address unblocked')
    return subject
  }

  /** What other processes may hear of. */
  running(): (StoredBlock & { readonly shared: boolean })[] {
    const nowMs = this.#clock.nowMs()
    return this.#blocks
      .list(nowMs)
      .map(({ subject, untilMs, sinceMs, offences, origin, reason, shared }) => ({
        address: subjectText(subject),
        remainingMs: untilMs - nowMs,
        ageMs: nowMs - sinceMs,
        offences,
        origin,
        reason,
        shared,
      }))
  }

  /** Takes out what counts no more. */
  sweep(): void {
    this.#blocks.sweep(this.#clock.nowMs())
  }

  #put(subject: Subject, made: Offences & Pick<Block, 'reason' | 'origin'>, nowMs: number): Block {
    const { untilMs, offences, reason, origin } = made
    const block = { subject, untilMs, offences, reason, origin, sinceMs: nowMs, refused: 0, shared: false }
    this.#blocks.set(block, nowMs)
    this.#counts[origin] += 1
    this.#tell(block, nowMs, false)
    return block
  }

  #learn(subject: Subject, stored: StoredBlock, running: Block | undefined, nowMs: number): void {
    const block = {
      subject,
      untilMs: nowMs + Math.min(MAX_HOLD_MS, stored.remainingMs),
      sinceMs: nowMs - stored.ageMs,
      offences: stored.offences,
      reason: stored.reason,
      origin: stored.origin,
      refused: running?.refused ?? 0,
      shared: true,
    }
    this.#blocks.set(block, nowMs)
    if (running !== undefined) return
    this.#counts.learnt += 1
    this.#tell(block, nowMs, true)
  }

  #tell({ subject, origin, reason, offences, untilMs }: Block, nowMs: number, learnt: boolean): void {
    const address = subjectText(subject)
    const forMs = Math.round(untilMs - nowMs)
    publishBlock({ address, origin, reason, forMs, offences, learnt })
    // Whoever decides says so; the others may be many.
    this.#log[learnt ? 'debug' : 'info'](
      { address, origin, reason, for_ms: forMs, offences },
      'address blocked',
    )
  }
}
