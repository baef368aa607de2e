// Notices that wait until there is a database to write them to.

import { type PoolGuard, sqlStateOf } from '@holdfast/pool-guard'
import type { Notice, Tell } from './notice.ts'
import type { RunnerLog } from './runner-log.ts'

/** More are not told, and the log says so. */
export const MAX_NOTICES = 200

/** Keeps them, at most MAX_NOTICES. */
export class NoticeQueue {
  readonly #pool: Pick<PoolGuard, 'transaction'>
  readonly #tell: Tell
  readonly #log: Pick<RunnerLog, 'warn'>
  readonly #waiting: Notice[] = []

  constructor(pool: Pick<PoolGuard, 'transaction'>, tell: Tell, log: Pick<RunnerLog, 'warn'>) {
    this.#pool = pool
    this.#tell = tell
    this.#log = log
  }

  /** Never throws. */
  add(notice: Notice): void {
    if (this.#waiting.length < MAX_NOTICES) this.#waiting.push(notice)
    else this.#log.warn({ notice: notice.kind }, 'too many notices wait; this one is not sent')
  }

  /**
   * Tells all in one transaction, or none. Rejects as the pool does; they are kept then. One that can never be written,
   * such as that for a user who is there no more, holds up no other, and the log says so.
   */
  async flush(): Promise<void> {
    const told = [...this.#waiting]
    if (told.length === 0) return
    const refused: { readonly notice: string; readonly reason: string }[] = []
    await this.#pool.transaction({}, async (tx) => {
      for (const notice of told) {
        await tx
          .savepoint((part) => this.#tell(part, notice))
          .catch((error: unknown) => {
            if (!isOfItsData(error)) throw error
            refused.push({ notice: notice.kind, reason: String((error as Error).message) })
          })
      }
    })
    this.#waiting.splice(0, told.length)
    for (const fields of refused) this.#log.warn(fields, 'a notice cannot be written; it is not sent')
  }
}

/** SQLSTATE, classes 22 and 23: what it says, or whom it is for, is wrong, and will be. */
function isOfItsData(error: unknown): boolean {
  return ['22', '23'].includes(sqlStateOf(error)?.slice(0, 2) ?? '')
}
