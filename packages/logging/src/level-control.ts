// A level that can be changed while the service runs, for a bounded time: nobody forgets to turn it back.
// Guarantees: at most one change is in force; the last one wins, and the one before never ends it.

import type { Clock } from '@holdfast/footing'

/** Levels of pino, the loudest last. */
export const LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

/** A level of pino. */
export type Level = (typeof LEVELS)[number]

/** As lines have them. */
export const NUMBERS: Readonly<Record<Level, number>> = {
  silent: Number.POSITIVE_INFINITY,
  fatal: 60,
  error: 50,
  warn: 40,
  info: 30,
  debug: 20,
  trace: 10,
}

/** Whether a logger writes lines of this level. */
export function isEnabled(logger: { readonly level?: string }, level: Level): boolean {
  return NUMBERS[level] >= (NUMBERS[logger.level as Level] ?? 0)
}

/** The longest time that another level can be in force, in ms: a day. */
export const MAX_CHANGE_MS = 86_400_000

/** The level that a text names, whatever its case. */
export function levelOf(given: unknown): Level | undefined {
  if (typeof given !== 'string') return undefined
  const lower = given.toLowerCase()
  return LEVELS.find((level) => level === lower)
}

/** Plain data for operators. */
export interface LevelState {
  readonly level: Level
  /** The one that comes back. */
  readonly configured: Level
  /** When, in ms since the Unix epoch; undefined where it is in force already. */
  readonly untilMs: number | undefined
}

/** What a `LevelControl` is made of. */
export interface LevelControlParts {
  readonly configured: Level
  readonly clock: Clock
  /** Puts a level in force; called for every change. */
  readonly apply: (state: LevelState) => void
}

/** Changes the level, and changes it back. */
export class LevelControl {
  readonly #parts: LevelControlParts
  #state: LevelState
  #cancel: (() => void) | undefined

  constructor(parts: LevelControlParts) {
    this.#parts = parts
    const { configured } = parts
    this.#state = { level: configured, configured, untilMs: undefined }
  }

  get state(): LevelState {
    return this.#state
  }

  /** Puts `level` in force for `forMs` milliseconds. */
  set(level: Level, forMs: number): void {
    const { clock } = this.#parts
    this.#cancel?.()
    this.#cancel = clock.schedule(forMs, () => this.reset())
    this.#change({ ...this.#state, level, untilMs: clock.wallMs() + forMs })
  }

  /** Brings the configured level back at once. */
  reset(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const { configured } = this.#state
    if (this.#state.untilMs !== undefined) this.#change({ level: configured, configured, untilMs: undefined })
  }

  #change(state: LevelState): void {
    this.#state = state
    this.#parts.apply(state)
  }
}
