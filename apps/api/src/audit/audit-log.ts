// The audit log: who did what, and what it changed. Rows are written once; the table refuses anything else.
//
// Guarantees: `record` is part of the caller's transaction, so that what it tells of is stored together with the row or
// not at all. `recordSoon` never waits and never throws: entries stand in a bounded queue and are written in batches,
// again and again while the database is away. What cannot be stored (no room in the queue, the end of the process) is
// counted and told in the log. An entry that the database will not take costs that entry alone.
// Does not guarantee that rows of `recordSoon` come in the order of their times: those of several processes, and those
// that waited, are as old as they say and not as their ids look; nor that a batch is there once, when the connection broke
// while it was written.

import { AsyncResource } from 'node:async_hooks'
import type { Clock } from '@holdfast/footing'
import { type PoolGuard, runInScope, sqlStateOf } from '@holdfast/pool-guard'
import type { FastifyBaseLogger } from 'fastify'
import { reasonOf } from '../reason.ts'
import { type AuditEntry, type AuditRow, auditRow } from './audit-entry.ts'
import { type AuditStatements, insertEntries } from './audit-insert.ts'
import { AuditQueue, type AuditWeight } from './audit-queue.ts'

export type { AuditEntry } from './audit-entry.ts'

/** What it is made of. */
export interface AuditLogParts {
  readonly pool: Pick<PoolGuard, 'query'>
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
  /** Of the request or job that this runs for. */
  readonly correlationId: () => string | undefined
  readonly log: Pick<FastifyBaseLogger, 'warn'>
  readonly clock: Clock
  /** Entries that wait at one time. Default 2,000. */
  readonly maxQueued?: number
  /** Told how a number of entries has ended. */
  readonly onEnd?: (outcome: AuditOutcome, entries: number) => void
}

/** What becomes of an entry. */
export type AuditOutcome = 'stored' | 'lost'

/** The log as plain data. */
export interface AuditSnapshot {
  /** Entries that wait to be written. */
  readonly queued: number
  readonly stored: number
  readonly lost: number
  /** Whether the last try to write has failed. */
  readonly failing: boolean
}

const MAX_QUEUED = 2000
const MAX_BATCH = 200
/** What comes within this time is written together. */
const GATHER_MS = 200
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
/** How long one batch may take in all. */
const BATCH_BUDGET_MS = 3000
/** And all that wait when the process ends. */
const CLOSE_BUDGET_MS = 3000
/** What is lost is told this long after the first of it. */
const TELL_AFTER_MS = 1000

/** Writes it. */
export class AuditLog {
  readonly #parts: AuditLogParts
  readonly #queue: AuditQueue
  /** Whose entry began the wait is not whom its batch is written for. */
  readonly #nobody = new AsyncResource('AuditLog')
  #writing: Promise<void> | undefined
  #cancelWait: (() => void) | undefined
  #cancelTelling: (() => void) | undefined
  #failures = 0
  #stored = 0
  #lost = 0
  #lostUntold = 0
  #closed = false

  constructor(parts: AuditLogParts) {
    this.#parts = parts
    this.#queue = new AuditQueue(parts.maxQueued ?? MAX_QUEUED)
  }

  /** Writes an entry as a part of that transaction, with the correlation id of what runs. Rejects as the driver does. */
  async record(tx: AuditStatements, entry: AuditEntry): Promise<void> {
    const { correlationId, clock } = this.#parts
    await insertEntries(tx, [auditRow(entry, correlationId(), clock.wallMs())])
  }

  /**
   * Writes an entry a moment later. `weight` is `event` for what anybody can cause. `correlationId` where it is not that
   * of what runs.
   */
  recordSoon(entry: AuditEntry, weight: AuditWeight = 'event', correlationId?: string): void {
    const { clock } = this.#parts
    const row = auditRow(entry, correlationId ?? this.#parts.correlationId(), clock.wallMs())
    if (this.#closed || !this.#queue.add(row, weight)) this.#lose(1)
    else this.#waitFor(GATHER_MS)
  }

  snapshot(): AuditSnapshot {
    return { queued: this.#queue.size, stored: this.#stored, lost: this.#lost, failing: this.#failures > 0 }
  }

  /** Takes no more, and writes what waits, if that can be done now; what is left is lost. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelWait?.()
    this.#cancelWait = undefined
    await this.#withinClosing(async () => {
      await this.#writing
      await this.#write()
    })
    // What is still on its way then may be stored or not: it counts as lost.
    this.#lose(this.#queue.drop(Number.POSITIVE_INFINITY))
    this.#cancelTelling?.()
    this.#tell()
  }

  #waitFor(ms: number): void {
    if (this.#cancelWait !== undefined || this.#writing !== undefined) return
    this.#cancelWait = this.#parts.clock.schedule(ms, () => {
      this.#cancelWait = undefined
      this.#nobody.runInAsyncScope(() => {
        this.#writing = this.#write().finally(() => {
          this.#writing = undefined
          if (this.#queue.size > 0 && !this.#closed) this.#waitFor(this.#pauseMs())
        })
      })
    })
  }

  #pauseMs(): number {
    if (this.#failures === 0) return GATHER_MS
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 10))
  }

  /** A database that is away may take its time to say so. */
  async #withinClosing(work: () => Promise<void>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = this.#parts.clock.schedule(CLOSE_BUDGET_MS, resolve)
    await Promise.race([work(), late])
    cancel()
  }

  /** Batch by batch, until nothing waits, or the database takes nothing. Never rejects. */
  async #write(): Promise<void> {
    try {
      if (this.#queue.size > 0) await this.#parts.prepare()
      while (this.#queue.size > 0) {
        await this.#writeOldest(this.#queue.oldest(MAX_BATCH))
        this.#failures = 0
      }
    } catch {
      // Why the database cannot be asked is told by those who ask it for somebody.
      this.#failures += 1
    }
  }

  /** Writes the oldest, which these are. Rejects when the database could not be asked; what is not written still waits. */
  async #writeOldest(rows: readonly AuditRow[]): Promise<void> {
    try {
      await this.#insert(rows)
      this.#queue.drop(rows.length)
    } catch (error) {
      if (!isAboutData(error)) throw error
      if (rows.length > 1) {
        // One of them is at fault: the others are not lost with it.
        for (const row of rows) await this.#writeOldest([row])
        return
      }
      this.#parts.log.warn(
        { reason: reasonOf(error) },
        'the database does not take an entry of the audit log',
      )
      this.#lose(this.#queue.drop(1))
    }
  }

  async #insert(rows: readonly AuditRow[]): Promise<void> {
    const { pool, clock } = this.#parts
    const deadlineMs = clock.nowMs() + BATCH_BUDGET_MS
    const scope = { criticality: 'normal', route: 'audit log', deadlineMs } as const
    await runInScope(scope, () => insertEntries(pool, rows))
    this.#stored += rows.length
    this.#parts.onEnd?.('stored', rows.length)
  }

  #lose(entries: number): void {
    if (entries === 0) return
    this.#lost += entries
    this.#lostUntold += entries
    this.#parts.onEnd?.('lost', entries)
    this.#cancelTelling ??= this.#parts.clock.schedule(TELL_AFTER_MS, () => this.#tell())
  }

  #tell(): void {
    this.#cancelTelling = undefined
    if (this.#lostUntold === 0) return
    const fields = { lost: this.#lostUntold, lost_in_all: this.#lost, queued: this.#queue.size }
    this.#lostUntold = 0
    this.#nobody.runInAsyncScope(() => this.#parts.log.warn(fields, 'entries of the audit log are lost'))
  }
}

/** Whether it is the row that the server does not take: SQLSTATE of the classes 22 and 23. */
function isAboutData(error: unknown): boolean {
  return /^2[23]/.test(sqlStateOf(error) ?? '')
}
