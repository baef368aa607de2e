// What stands in the audit log, for those who read it.

import type { Kysely, Selectable } from 'kysely'
import type { AuditLogTable, Database } from '../db/database.ts'

/** Which entries are asked for; what is left out does not matter. */
export interface AuditFilter {
  readonly action?: string | undefined
  readonly actor?: string | undefined
  readonly tenant?: string | undefined
}

/** A row as it is stored. */
export type StoredEntry = Selectable<AuditLogTable>

/** More is not counted. */
export const MOST_COUNTED = 10_000

/** Reads it. Errors are the driver's or the pool's. */
export class AuditRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /** The entries below `before`, the newest first, at most `limit`. */
  entries(filter: AuditFilter, before: bigint, limit: number): Promise<StoredEntry[]> {
    return this.entriesQuery(filter, before, limit).execute()
  }

  /** The statement of `entries`. */
  entriesQuery({ action, actor, tenant }: AuditFilter, before: bigint, limit: number) {
    return this.#db
      .selectFrom('audit_log')
      .selectAll()
      .where('id', '<', String(before))
      .$if(action !== undefined, (query) => query.where('action', '=', action ?? ''))
      .$if(actor !== undefined, (query) => query.where('actor', '=', actor ?? ''))
      .$if(tenant !== undefined, (query) => query.where('tenant', '=', tenant ?? ''))
      .orderBy('id', 'desc')
      .limit(limit)
  }

  /** How many there were since then; `MOST_COUNTED` for as many and more. */
  async countSince(since: Date): Promise<number> {
    const { count } = await this.countQuery(since).executeTakeFirstOrThrow()
    return Number(count)
  }

  /** The statement of `countSince`. */
  countQuery(since: Date) {
    return this.#db
      .selectFrom(
        this.#db
          .selectFrom('audit_log')
          .select('at')
          .where('at', '>', since)
          .limit(MOST_COUNTED)
          .as('recent'),
      )
      .select((eb) => eb.fn.countAll<string>().as('count'))
  }
}
