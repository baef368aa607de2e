/*
 * What is done to a connection between two loans: it is tried when nothing was heard of it for long, and what is left
 * of somebody's work on it is ended. Neither rejects; whether it may be lent then, the connection says (`clean`).
 */
import type { Clock } from '@holdfast/footing'
import { ReleasedError } from './errors.ts'
import type { PgConnection } from './pg-connection.ts'

/** Asks a connection for a sign of life within `limitMs`. */
export async function answers(connection: PgConnection, clock: Clock, limitMs: number): Promise<boolean> {
  const alive = await connection.run({ text: 'select 1', dueMs: clock.nowMs() + limitMs, limitMs }).then(
    () => true,
    () => false,
  )
  await connection.quiet()
  return alive && connection.clean
}

/** Ends its statements, and its transaction by a ROLLBACK that may take `limitMs`. */
export async function tidyUp(connection: PgConnection, clock: Clock, limitMs: number): Promise<void> {
  connection.interrupt(new ReleasedError('a statement was not finished'))
  await connection.quiet()
  if (connection.lost || connection.transactionStatus === 'I') return
  await connection.run({ text: 'rollback', dueMs: clock.nowMs() + limitMs, limitMs }).catch(() => {})
  await connection.quiet()
}
