// The one statement that writes to `audit_log`.

import type { AuditRow } from './audit-entry.ts'

/** Statements of one transaction, of the pool's or of Kysely's; or those of a pool, each by itself. */
export interface AuditStatements {
  query(text: string, values: readonly unknown[]): Promise<unknown>
}

const INSERT = `insert into audit_log (at, actor, tenant, action, subject, before, after, reason, correlation_id)
  select at, actor, tenant, action, subject, before, after, reason, correlation_id
  from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::text[], $9::text[])
    with ordinality as given (at, actor, tenant, action, subject, before, after, reason, correlation_id, place)
  order by place`

/** Writes rows, all or none of them. Rejects as the driver does. */
export async function insertEntries(statements: AuditStatements, rows: readonly AuditRow[]): Promise<void> {
  await statements.query(INSERT, [
    rows.map(({ at }) => at),
    rows.map(({ actor }) => actor),
    rows.map(({ tenant }) => tenant),
    rows.map(({ action }) => action),
    rows.map(({ subject }) => subject),
    rows.map(({ before }) => before),
    rows.map(({ after }) => after),
    rows.map(({ reason }) => reason),
    rows.map(({ correlationId }) => correlationId),
  ])
}
