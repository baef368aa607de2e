// Entries of what somebody does by a command: part of the transaction that does it, so that nothing is changed without a
// trace.

import { userInfo } from 'node:os'
import { systemClock } from '@holdfast/footing'
import { CompiledQuery, type Transaction } from 'kysely'
import type { Database } from '../db/database.ts'
import { type AuditEntry, auditRow } from './audit-entry.ts'
import { insertEntries } from './audit-insert.ts'

/** Enters it as done by whoever's process this is. Rejects as the driver does. */
export async function enterCommand(
  trx: Transaction<Database>,
  entry: Omit<AuditEntry, 'actor'>,
): Promise<void> {
  const statements = {
    query: (statement: string, values: readonly unknown[]) =>
      trx.executeQuery(CompiledQuery.raw(statement, [...values])),
  }
  const actor = `command line (${systemUser()})`
  await insertEntries(statements, [auditRow({ ...entry, actor }, undefined, systemClock.wallMs())])
}

/** A container need not know more of him than his number. */
function systemUser(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}
