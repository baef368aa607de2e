// Keeps the cached themes equal to the database, in one loop that no request ever enters. Each turn compares
// the state of the database with what was seen last (level-triggered: it does not matter which transaction
// committed when, or how a row was changed), loads what differs in batches, and drops what is gone. Turns never
// overlap, hold nothing while sleeping, and back off with jitter after a failure. It does not decide what a
// request is answered with: that is the cache's business, whatever happens here.

import type { Clock } from '@holdfast/singleflight'

/** What was seen of all themes. */
export interface Sighting {
  /** Differs whenever the versions do. */
  readonly fingerprint: string
  /** The version of every theme; one more than may be kept tells that there are more. */
  readonly versions: ReadonlyMap<string, bigint>
  /** How long ago the database was asked. */
  readonly ageMs: number
  /** When that was in the order of all processes; undefined when this one is alone. */
  readonly fence: number | undefined
}

/** Where it is seen which themes there are. */
export interface ThemeSource {
  /** The present state, as one process of the fleet has seen it within the interval. */
  look(): Promise<Sighting>
  /** The last state that anybody has seen, for a process that has none and cannot look. */
  recall(): Promise<Sighting | undefined>
}

/** Where they are kept. */
export interface ThemeTarget {
  /**
   * Loads these themes in one batch, or takes what another process has loaded since `fence`; the ones that no longer
   * exist are forgotten. Rejects when that failed.
   */
  refresh(versions: ReadonlyMap<string, bigint>, fence?: number): Promise<void>
  /** Takes of these themes what anybody still has; asks nobody who may not answer. */
  recall(slugs: Iterable<string>): Promise<void>
  /** Forgets every theme that is not in this list. */
  retain(slugs: ReadonlySet<string>, fence?: number): Promise<void>
  /**
   * Called before the source is asked. What it returns is called once, with true when every theme that is kept
   * then was found to be current `ageMs` ago, with false when the source could not be asked.
   */
  beginConfirmation(): (current: boolean, ageMs?: number) => void
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
  #wanted = false

  constructor(options: ThemeRefresherOptions) {
    this.#options = options
  }

  /** Starts the loop; answers the result of the first turn. */
  async start(): Promise<ThemeTurn> {
    this.#stopped = false
    this.#startedMs = this.#options.clock.nowMs()
    return this.#turn()
  }

  /** The next turn begins at once, or as soon as the one that is running has ended. */
  wake(): void {
    if (this.#stopped) return
    if (this.#running !== undefined) {
      this.#wanted = true
      return
    }
    this.#cancelTimer?.()
    void this.#turn()
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
      const pauseMs = turn.ok ? this.#options.intervalMs : turn.retryInMs
      const delayMs = this.#wanted ? 0 : pauseMs
      this.#wanted = false
      this.#cancelTimer = this.#options.clock.schedule(delayMs, () => void this.#turn())
    }
    return turn
  }

  async #confirmedSweep(): Promise<Sweep> {
    const { prepare, source, target } = this.#options
    try {
      await prepare()
    } catch (error) {
      await this.#recall()
      throw error
    }
    const confirm = target.beginConfirmation()
    let ageMs: number | undefined
    try {
      const seen = await source.look()
      const sweep = await this.#sweep(seen)
      ageMs = seen.ageMs
      return sweep
    } catch (error) {
      await this.#recall()
      throw error
    } finally {
      confirm(ageMs !== undefined, ageMs)
    }
  }

  async #sweep({ fingerprint, versions, fence }: Sighting): Promise<Sweep> {
    const { target, maxThemes, maxBatch } = this.#options
    const overLimit = versions.size > maxThemes
    let changed: [string, bigint][] = []
    if (fingerprint !== this.#fingerprint) {
      const current = new Map([...versions].slice(0, maxThemes))
      changed = [...current].filter(([slug, version]) => this.#known.get(slug) !== version)
      await target.retain(new Set(current.keys()), fence)
      for (let start = 0; start < changed.length; start += maxBatch) {
        await target.refresh(new Map(changed.slice(start, start + maxBatch)), fence)
      }
      // Only now, so that a turn which failed half-way is done again.
      this.#known = current
      this.#fingerprint = fingerprint
    }
    return { changed: changed.length, themes: this.#known.size, overLimit }
  }

  /** A process that has never seen the database may know what others have seen. */
  async #recall(): Promise<void> {
    const { source, target, maxThemes } = this.#options
    if (this.#fingerprint !== undefined) return
    const { versions } = (await source.recall()) ?? {}
    if (versions !== undefined) await target.recall([...versions.keys()].slice(0, maxThemes))
  }

  /** One interval after the first failure, two after further ones, each times 0.5 to 1.5. */
  #backOffMs(): number {
    const { intervalMs, random } = this.#options
    return Math.round(intervalMs * Math.min(this.#failures, 2) * (0.5 + random()))
  }
}
