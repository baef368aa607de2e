// The plans of the statements that the service really sends: what is asked through this is written down, and explained
// afterwards with the values that it had.

import { PoolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { Kysely } from 'kysely'
import type { Test } from 'tap'
import type { Database } from '../src/db/database.ts'

/** A database that is asked, and what it makes of that. */
export interface StatementPlans {
  /** Past the record, for what a test prepares. */
  readonly pool: PoolGuard
  readonly db: Kysely<Database>
  readonly recorded: Pick<PoolGuard, 'query' | 'transaction'>
  /** The plans of what `work` sends, in that order; what is no query has none. `work` may fail. */
  plansOf(work: () => Promise<unknown>): Promise<readonly string[]>
}

/** On that database, with time for tables that are filled first. */
export function statementPlans(t: Test, connectionString: string): StatementPlans {
  const guardrails = { statementTimeoutMs: 120_000, idleInTransactionTimeoutMs: 120_000 }
  const pool = new PoolGuard({ connectionString, max: 4, min: 0, statementTimeoutMs: 120_000, guardrails })
  t.teardown(() => pool.close())
  const sent: (readonly [sql: string, parameters: readonly unknown[]])[] = []
  const db = new Kysely<Database>({
    dialect: guardedDialect(pool),
    log: ({ query }) => void sent.push([query.sql, query.parameters]),
  })
  const recorded: StatementPlans['recorded'] = {
    query: (sql, parameters = [], options) => {
      sent.push([sql, parameters])
      return pool.query(sql, parameters, options)
    },
    transaction: (options, work) =>
      pool.transaction(options, (tx) =>
        work({
          processId: tx.processId,
          attempt: tx.attempt,
          savepoint: (inner) => tx.savepoint(inner),
          query: (sql, parameters = [], own) => {
            sent.push([sql, parameters])
            return tx.query(sql, parameters, own)
          },
        }),
      ),
  }
  const plansOf = async (work: () => Promise<unknown>) => {
    sent.length = 0
    await work().catch(() => {})
    const plans: string[] = []
    for (const [sql, parameters] of [...sent]) {
      if (!/^\s*(select|with|insert|update|delete)/i.test(sql)) continue
      const { rows } = await pool.query(`explain (costs off) ${sql}`, parameters)
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
    }
    return plans
  }
  return { pool, db, recorded, plansOf }
}
