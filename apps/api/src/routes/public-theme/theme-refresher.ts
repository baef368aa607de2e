// Keeps the cached themes equal to the database, in one loop that no request ever enters. Each turn compares
// the state of the database with what was seen last (level-triggered: it does not matter which transaction
// committed when, or how a row was changed), loads what differs in batches, and drops what is gone. Turns never
// overlap, hold nothing while sleeping, and back off with jitter after a failure. It does not decide what a
// request is answered with: that is the cache's business, whatever happens here.

import type { Clock } from '@holdfast/singleflight'

/** Where the themes come from. */
export interface ThemeSource {
  /** Differs whenever {@link versions} would. */
  fingerprint(): Promise<string>
  /** The version of every theme, at most `limit` of them. */
  versions(limit: number): Promise<ReadonlyMap<string, bigint>>
}

/** Where they are kept. */
export interface ThemeTarget {
  /** Loads these themes in one batch; the ones that no longer exist are forgotten. Rejects when that failed. */
  refresh(slugs: readonly string[]): Promise<void>
  /** Forgets every theme that is not in this list. */
  retain(slugs: ReadonlySet<string>): Promise<void>
  /**
   * Called before the source is asked. What it returns is called once, with true when every theme that is kept
   * then was found to be current, with false when the source could not be asked.
   */
  beginConfirmation(): (current: boolean) => void
}

/** What a refresher needs. Times are in milliseconds. */
export interface ThemeRefresherOptions {
  readonly source: ThemeSource
  readonly target: ThemeTarget
  readonly clock: Clock
  /** Returns a number in [0, 1). */
  readonly random: () => number
  /** Pause between two turns. */
  readonly intervalMs: number
  /** Most themes that are kept; further ones (in the order of their slugs) are served as the default. */
  readonly maxThemes: number
  /** Most themes in one batch. */
  readonly maxBatch: number
  /** Runs at the start of every turn; rejects while the database cannot be used. */
  readonly prepare: () => Promise<void>
  /** Told about the result of every turn. */
  readonly onTurn: (turn: ThemeTurn) => void
}

/** What a turn found: themes that were loaded, themes that are kept, and whether there are more than may be. */
interface Sweep {
  readonly changed: number
  readonly themes: number
  readonly overLimit: boolean
}

/** The result of one turn. */
export type ThemeTurn =
  | ({ readonly ok: true } & Sweep)
  | { readonly ok: false; readonly error: unknown; readonly failures: number; readonly retryInMs: number }

/** Where a refresher stands. */
export type ThemeRefresherSnapshot = {
  readonly themes: number
  /** Failed turns since the last good one. */
  readonly failures: number
  readonly turns: number
  /** Time since the last good turn ended; undefined before the first. */
  readonly lastSuccessAgeMs: number | undefined
}

/** See the top of the file. */
export class ThemeRefresher {
  readonly #options: ThemeRefresherOptions
  /** The version that each theme was loaded with. Bounded by `maxThemes`. */
  #known: ReadonlyMap<string, bigint> = new Map()
  #fingerprint: string | undefined
  #turns = 0
  #failures = 0
  #startedMs = 0
  #lastSuccessMs: number | undefined
  #stopped = true
  #cancelTimer: (() => void) | undefined
  #running: Promise<ThemeTurn> | undefined

  constructor(options: ThemeRefresherOptions) {
    this.#options = options
  }

  /** Starts the loop; answers the result of the first turn. */
  async start(): Promise<ThemeTurn> {
    this.#stopped = false
    this.#startedMs = this.#options.clock.nowMs()
    return this.#turn()
  }

  /** Ends the loop; settles when the turn that is running, if any, has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    await this.#running
  }

  /** Plain data about the loop. */
  snapshot(): ThemeRefresherSnapshot {
    return {
      themes: this.#known.size,
      failures: this.#failures,
      turns: this.#turns,
      lastSuccessAgeMs:
        this.#lastSuccessMs === undefined ? undefined : this.#options.clock.nowMs() - this.#lastSuccessMs,
    }
  }

  /** For a health check: degraded when no turn has succeeded for three intervals. */
  health(): { readonly status: 'healthy' | 'degraded'; readonly data: ThemeRefresherSnapshot } {
    const { clock, intervalMs } = this.#options
    const sinceMs = clock.nowMs() - (this.#lastSuccessMs ?? this.#startedMs)
    return { status: sinceMs > 3 * intervalMs ? 'degraded' : 'healthy', data: this.snapshot() }
  }

  async #turn(): Promise<ThemeTurn> {
    this.#running = this.#confirmedSweep().then(
      (result): ThemeTurn => {
        this.#failures = 0
        this.#lastSuccessMs = this.#options.clock.nowMs()
        return { ok: true, ...result }
      },
      (error: unknown): ThemeTurn => {
        this.#failures += 1
        return { ok: false, error, failures: this.#failures, retryInMs: this.#backOffMs() }
      },
    )
    const turn = await this.#running
    this.#running = undefined
    this.#turns += 1
    this.#options.onTurn(turn)
    if (!this.#stopped) {
      const delayMs = turn.ok ? this.#options.intervalMs : turn.retryInMs
      this.#cancelTimer = this.#options.clock.schedule(delayMs, () => void this.#turn())
    }
    return turn
  }

  async #confirmedSweep(): Promise<Sweep> {
    await this.#options.prepare()
    const confirm = this.#options.target.beginConfirmation()
    let current = false
    try {
      const sweep = await this.#sweep()
      current = true
      return sweep
    } finally {
      confirm(current)
    }
  }

  async #sweep(): Promise<Sweep> {
    const { source, target, maxThemes, maxBatch } = this.#options
    const fingerprint = await source.fingerprint()
    let changed: string[] = []
    let overLimit = false
    if (fingerprint !== this.#fingerprint) {
      const found = [...(await source.versions(maxThemes + 1))]
      overLimit = found.length > maxThemes
      const current = new Map(found.slice(0, maxThemes))
      changed = [...current].flatMap(([slug, version]) => (this.#known.get(slug) === version ? [] : [slug]))
      await target.retain(new Set(current.keys()))
      for (let start = 0; start < changed.length; start += maxBatch) {
        await target.refresh(changed.slice(start, start + maxBatch))
      }
      // Only now, so that a turn which failed half-way is done again. The fingerprint was taken before the
      // versions were read: a change in between makes the next turn look once more, and none is missed.
      this.#known = current
      this.#fingerprint = fingerprint
    }
    return { changed: changed.length, themes: this.#known.size, overLimit }
  }

  /** One interval after the first failure, two after further ones, each times 0.5 to 1.5. */
  #backOffMs(): number {
    const { intervalMs, random } = this.#options
    return Math.round(intervalMs * Math.min(this.#failures, 2) * (0.5 + random()))
  }
}
