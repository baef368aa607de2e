// Changes of maintenance in PostgreSQL: who did what when, and what a start goes by after Redis has lost everything.

import type { Change, ChangeAction, Entry, MaintenanceJournal } from '@holdfast/maintenance'
import { runInScope } from '@holdfast/pool-guard'
import type { Kysely, Selectable } from 'kysely'
import type { Database, MaintenanceChangesTable } from '../db/database.ts'

/** Rejects with what the driver or the pool raises. */
export class DatabaseJournal implements MaintenanceJournal {
  readonly #db: Kysely<Database>
  readonly #prepare: () => Promise<unknown>

  /** `prepare` resolves when the tables are there. */
  constructor(db: Kysely<Database>, prepare: () => Promise<unknown>) {
    this.#db = db
    this.#prepare = prepare
  }

  async append({ version, atMs, change, text }: Entry): Promise<void> {
    const { action, subject = null, by = null, reason = null, requestId: request_id = null } = change
    await this.#ask('critical', () =>
      this.#db
        .insertInto('maintenance_changes')
        .values({
          version: String(version),
          at: new Date(atMs),
          action,
          subject,
          by,
          reason,
          request_id,
          document: text,
        })
        .onConflict((conflict) => conflict.column('version').doNothing())
        .execute(),
    )
  }

  async latest(): Promise<Entry | undefined> {
    const [entry] = await this.history(1, undefined)
    return entry
  }

  async history(limit: number, before: number | undefined): Promise<readonly Entry[]> {
    const rows = await this.#ask('normal', () =>
      this.#db
        .selectFrom('maintenance_changes')
        .selectAll()
        .$if(before !== undefined, (query) => query.where('version', '<', String(before)))
        .orderBy('version', 'desc')
        .limit(limit)
        .execute(),
    )
    return rows.map(entryOf)
  }

  async #ask<T>(criticality: 'critical' | 'normal', work: () => Promise<T>): Promise<T> {
    await this.#prepare()
    return runInScope({ criticality, route: 'maintenance' }, work)
  }
}

function entryOf(row: Selectable<MaintenanceChangesTable>): Entry {
  const { version, at, action, subject, by, reason, request_id: requestId, document } = row
  const known = Object.entries({ subject, by, reason, requestId }).filter(([, value]) => value !== null)
  const change: Change = { action: action as ChangeAction, ...Object.fromEntries(known) }
  return { version: Number(version), atMs: at.getTime(), change, text: document }
}
