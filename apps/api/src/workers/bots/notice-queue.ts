// Notices that wait until there is a database to write them to.

import type { PoolGuard } from '@holdfast/pool-guard'
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

  /** Tells all in one transaction, or none. Rejects as the pool does; they are kept then. */
  async flush(): Promise<void> {
    const told = [...this.#waiting]
    if (told.length === 0) return
    await this.#pool.transaction({}, async (tx) => {
      for (const notice of told) await this.#tell(tx, notice)
    })
    this.#waiting.splice(0, told.length)
  }
}
