/* Calls to whoever keeps sessions: every failure is one error, and an end that cannot be told now is told later. */
import { withRetryAfter } from '@holdfast/footing'
import { UnavailableError } from './errors.ts'
import type { Outage } from './outage.ts'
import type { Revocation } from './revocation-index.ts'
import type { SessionCounts } from './session-counts.ts'

const RETRY_AFTER_MS = 1000

export interface StoreCallsParts {
  readonly counts: SessionCounts
  /** Where ends are noted; undefined where there is no Redis that could be away. */
  readonly outage: Pick<Outage, 'note'> | undefined
}

export class StoreCalls {
  readonly #parts: StoreCallsParts

  constructor(parts: StoreCallsParts) {
    this.#parts = parts
  }

  /** As what was asked, or rejects with `..._UNAVAILABLE`. */
  async ask<Answer>(asked: Promise<Answer>): Promise<Answer> {
    try {
      return await asked
    } catch (cause) {
      throw this.failure(cause as Error)
    }
  }

  /** Tells of an end, or notes it for later; then the answer is undefined. */
  async tell<Answer>(revocation: Revocation, told: () => Promise<Answer>): Promise<Answer | undefined> {
    const { outage, counts } = this.#parts
    try {
      return await this.ask(told())
    } catch (error) {
      const isNoted = await outage?.note(revocation).catch(() => false)
      if (isNoted !== true) throw error
      counts.journalled += 1
      return undefined
    }
  }

  failure(cause: Error): Error {
    this.#parts.counts.failures += 1
    return withRetryAfter(new UnavailableError(cause.message, { cause }), RETRY_AFTER_MS)
  }
}
