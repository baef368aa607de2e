import { waitUntil } from '@holdfast/test-kit'
import type { Pool } from 'pg'

/** A bot whose row nobody can change until it is let go: operations on it stop in their middle. */
export interface HeldBot {
  /** Resolves when as many operations wait for the row as are wanted. */
  waitedFor(wanted: (waiting: number) => boolean): Promise<void>
  letGo(): Promise<void>
}

/** Holds the row of a bot. The pool needs two connections. */
export async function holdBot(sql: Pool, botId: string): Promise<HeldBot> {
  const client = await sql.connect()
  await client.query('begin')
  await client.query('select from bots where id = $1 for update', [botId])
  return {
    waitedFor: (wanted) =>
      waitUntil(
        async () => {
          const { rows } = await sql.query(
            `select count(*)::int as waiting from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'
               and (query like 'update users set fence%' or query like 'select name, status from bots%')`,
          )
          return wanted(Number(rows[0]?.['waiting']))
        },
        { timeoutMs: 20_000, what: 'operations to wait for the bot' },
      ),
    letGo: async () => {
      await client.query('commit')
      client.release()
    },
  }
}
