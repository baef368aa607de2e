// Tells the operators when a feature works worse than it should, and when it works again.
//
// What is degraded may be the database itself, so that it cannot be told at once: it is kept, at most 100 of them, and
// tried again until it is written down. Every process sees the same outage: what they all say within one minute is told
// once; what comes again within it, three times at most, so that the last word about what comes and goes is told.

import { AsyncResource } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Clock } from '@holdfast/footing'
import type { FeatureEvent } from '@holdfast/health'
import { type PoolGuard, runInScope } from '@holdfast/pool-guard'
import type { FastifyBaseLogger } from 'fastify'
import type { News, Outbox } from './outbox.ts'

/** What it is made of. */
export interface FeatureNewsParts {
  readonly outbox: Pick<Outbox, 'tell'>
  readonly pool: Pick<PoolGuard, 'transaction'>
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
  readonly clock: Clock
  readonly log: Pick<FastifyBaseLogger, 'warn'>
}

const FEATURES = 'holdfast:health:feature'
const MAX_UNTOLD = 100
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000
const ONE_MINUTE_MS = 60_000
/** The same of one feature, within one minute. */
const MAX_AGAIN = 3
/** Features that are counted within one minute; of more of them the same is told once. */
const MAX_COUNTED = 200
const BUDGET_MS = 3000
/** A database that is away may take its time to say so; the end of the process does not wait for it. */
const STOP_BUDGET_MS = 3000

/** Tells it from `start()` on. */
export class FeatureNews {
  readonly #parts: FeatureNewsParts
  /** Whoever found a feature degraded is not whom it is told for. */
  readonly #nobody = new AsyncResource('FeatureNews')
  #untold: News[] = []
  #telling: Promise<void> | undefined
  #cancelWait: (() => void) | undefined
  #failures = 0
  #closed = false
  /** How often each was seen within the minute that goes on. */
  readonly #counts = new Map<string, number>()
  #minute = 0

  constructor(parts: FeatureNewsParts) {
    this.#parts = parts
  }

  /** How many wait to be told. */
  get untold(): number {
    return this.#untold.length
  }

  start(): void {
    subscribe(FEATURES, this.#seen)
  }

  /** Tells nothing any more; what waits is lost, and the log says so. Never rejects. */
  async stop(): Promise<void> {
    unsubscribe(FEATURES, this.#seen)
    this.#closed = true
    this.#cancelWait?.()
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = this.#parts.clock.schedule(STOP_BUDGET_MS, resolve)
    await Promise.race([this.#telling, late])
    cancel()
    for (const { kind, payload } of this.#untold) this.#lost(kind, payload)
  }

  readonly #seen = (message: unknown): void => {
    const event = message as FeatureEvent
    const wallMs = this.#parts.clock.wallMs()
    const news = newsOf(event, wallMs, this.#count(event, wallMs))
    if (this.#untold.length >= MAX_UNTOLD) {
      this.#lost(news.kind, news.payload)
      return
    }
    this.#untold.push(news)
    if (this.#cancelWait === undefined) this.#waitFor(0)
  }

  /** The how manieth of its kind it is, of its feature and its minute. */
  #count({ feature, state }: FeatureEvent, wallMs: number): number {
    const minute = Math.floor(wallMs / ONE_MINUTE_MS)
    if (minute !== this.#minute) this.#counts.clear()
    this.#minute = minute
    const key = `${state} ${feature}`
    const count = Math.min(MAX_AGAIN, (this.#counts.get(key) ?? 0) + 1)
    if (this.#counts.size < MAX_COUNTED || this.#counts.has(key)) this.#counts.set(key, count)
    return count
  }

  #lost(kind: string, payload: object): void {
    this.#parts.log.warn({ kind, payload }, 'nobody can be told of this')
  }

  #waitFor(ms: number): void {
    if (this.#closed || this.#telling !== undefined) return
    this.#cancelWait = this.#parts.clock.schedule(ms, () => {
      this.#cancelWait = undefined
      this.#telling = this.#nobody.runInAsyncScope(() =>
        this.#tell().finally(() => {
          this.#telling = undefined
          if (this.#untold.length > 0) this.#waitFor(this.#pauseMs())
        }),
      )
    })
  }

  #pauseMs(): number {
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(10, this.#failures))
  }

  /** One after the other, the oldest first, until one cannot be written down. Never rejects. */
  async #tell(): Promise<void> {
    const { outbox, pool, prepare, clock } = this.#parts
    try {
      await prepare()
      for (let news = this.#untold[0]; news !== undefined; news = this.#untold[0]) {
        const told = news
        const scope = {
          criticality: 'normal',
          route: 'feature news',
          deadlineMs: clock.nowMs() + BUDGET_MS,
        } as const
        await runInScope(scope, () => pool.transaction(scope, (tx) => outbox.tell(tx, told)))
        this.#untold.shift()
        this.#failures = 0
      }
    } catch {
      // That the database cannot be asked is told by those who ask it for somebody.
      this.#failures += 1
    }
  }
}

/** What is told of it, where it is the first, the second, the third of its kind within its minute. */
export function newsOf(
  { feature, state, reason, degradedForMs }: FeatureEvent,
  wallMs: number,
  count: number,
): News {
  return {
    kind: `feature.${state}`,
    payload: {
      feature,
      reason,
      ...(state === 'recovered' && { degraded_for_seconds: Math.round(degradedForMs / 1000) }),
    },
    once: `feature ${state} ${Math.floor(wallMs / ONE_MINUTE_MS)} ${count} ${feature}`,
  }
}
