import type { Transaction } from '@holdfast/pool-guard'

/** What somebody is to be told; without a user it is for the operators. */
export interface Notice {
  /** Such as `bot.failed`. */
  readonly kind: string
  readonly tenantId?: string
  readonly userId?: string
  readonly payload: Readonly<Record<string, unknown>>
}

/** Tells it, once the transaction is committed. */
export type Tell = (tx: Pick<Transaction, 'query'>, notice: Notice) => Promise<void>
