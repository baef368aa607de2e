// From when on sign-ins count. Whoever was signed out everywhere, or has another password, role or standing, or whose
// tenant was suspended, is signed in by nothing that is older than that.
//
// Guarantees: no request asks the database or waits for it; a change shows in every process within one interval, also
// while Redis is away, and after all processes were killed; one that took longer than a minute to commit, within a
// minute of that. Both moments are those of the database's clock, so that nothing is spared. While the database is away,
// what was known last holds. Bounded: of more than 100,000 changes the oldest are forgotten, and then no sign-in that is
// older than those counts, whoever it is of.

import type { Clock } from '@holdfast/footing'

/** A moment by the clock of the database. */
export interface Moment {
  /** As exact as the database has it. */
  readonly at: string
  /** In milliseconds since the epoch, with a fraction. */
  readonly atMs: number
}

/** A moment before which nothing of a holder counts. */
export interface Cutoff extends Moment {
  /** `user:<id>` or `tenant:<slug>` */
  readonly holder: string
}

/** Where they come from. */
export interface CutoffSource {
  /** The next ones after `after`, or those since `sinceMs` (undefined: as far back as a session can go), in order. */
  cutoffs(
    from: { readonly sinceMs: number | undefined } | { readonly after: Pick<Cutoff, 'holder' | 'at'> },
    limit: number,
  ): Promise<readonly Cutoff[]>
}

/** What it is made of. */
export interface SignInCutoffsParts {
  readonly source: CutoffSource
  readonly clock: Clock
  /** Milliseconds between two looks. */
  readonly intervalMs: number
  /** Most that are kept. */
  readonly maxKept: number
  /** Told of each one that is new, but for those that a start finds. */
  readonly onLearnt?: (cutoff: Cutoff) => void
  /** Told of the first of several looks that fail in a row. */
  readonly onFailure: (error: unknown) => void
}

/** Whose sign-in is asked about. */
export interface SignedIn {
  readonly userId: string
  /** Slug. */
  readonly tenantId: string
}

/** As plain data. */
export interface SignInCutoffsSnapshot {
  readonly known: number
  /** Since the last look that succeeded; undefined before the first. */
  readonly ageMs: number | undefined
}

const PAGE = 1000
/** A statement may commit so much later than its own clock says, and still be seen by the next look. */
const LATE_COMMIT_MS = 60_000
/** One look of so many goes as far back as a sign-in can, for what was committed later still. */
const WHOLE_LOOK_EVERY = 12

/** Knows the cutoffs, and asks for new ones in one loop. */
export class SignInCutoffs {
  readonly #parts: SignInCutoffsParts
  /** The one that changed last at the end. */
  readonly #known = new Map<string, number>()
  /** What was forgotten is not newer. */
  #forgottenMs = 0
  #looks = 0
  #sinceMs: number | undefined
  #lookedMs: number | undefined
  #failing = false
  #stopped = true
  #cancelTimer: () => void = () => {}
  #looking: Promise<void> = Promise.resolve()

  constructor(parts: SignInCutoffsParts) {
    this.#parts = parts
  }

  /** Whether somebody has to sign in again who signed in at that time, by the clock of the database. */
  isOver({ userId, tenantId }: SignedIn, signedInMs: number): boolean {
    const cutoffMs = Math.max(
      this.#known.get(`user:${userId}`) ?? 0,
      this.#known.get(`tenant:${tenantId}`) ?? 0,
      this.#forgottenMs,
    )
    return signedInMs < cutoffMs
  }

  /** Begins to look, now and then. Resolves after the first look, however it ended. */
  start(): Promise<void> {
    this.#stopped = false
    return this.#turn()
  }

  /** Ends the loop, and waits for the look that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer()
    await this.#looking
  }

  snapshot(): SignInCutoffsSnapshot {
    const { clock } = this.#parts
    const ageMs = this.#lookedMs === undefined ? undefined : clock.nowMs() - this.#lookedMs
    return { known: this.#known.size, ageMs }
  }

  #turn(): Promise<void> {
    const { clock, intervalMs, onFailure } = this.#parts
    this.#looking = this.#look().then(
      () => {
        this.#failing = false
        this.#lookedMs = clock.nowMs()
      },
      (error: unknown) => {
        if (!this.#failing) onFailure(error)
        this.#failing = true
      },
    )
    return this.#looking.then(() => {
      if (!this.#stopped) this.#cancelTimer = clock.schedule(intervalMs, () => void this.#turn())
    })
  }

  async #look(): Promise<void> {
    const { source, clock } = this.#parts
    let newestMs = this.#sinceMs
    const isWhole = newestMs === undefined || this.#looks % WHOLE_LOOK_EVERY === 0
    let from: Parameters<CutoffSource['cutoffs']>[0] = {
      sinceMs: isWhole || newestMs === undefined ? undefined : newestMs - LATE_COMMIT_MS,
    }
    for (;;) {
      const page = await source.cutoffs(from, PAGE)
      for (const cutoff of page) this.#remember(cutoff)
      const last = page.at(-1)
      // A moment that is still to come would have the loop wait for it.
      if (last !== undefined) newestMs = Math.max(newestMs ?? 0, Math.min(last.atMs, clock.wallMs()))
      if (last === undefined || page.length < PAGE) break
      from = { after: last }
    }
    this.#sinceMs = newestMs
    this.#looks += 1
  }

  #remember(cutoff: Cutoff): void {
    const { holder, atMs } = cutoff
    if (this.#known.get(holder) === atMs || atMs <= this.#forgottenMs) return
    if (this.#looks > 0) this.#parts.onLearnt?.(cutoff)
    this.#known.delete(holder)
    this.#known.set(holder, atMs)
    const { maxKept, clock } = this.#parts
    for (const [oldest, oldestMs] of this.#known) {
      if (this.#known.size <= maxKept) break
      this.#known.delete(oldest)
      // One that is still to come would sign out everybody, again and again.
      this.#forgottenMs = Math.max(this.#forgottenMs, Math.min(oldestMs, clock.wallMs()))
    }
  }
}
