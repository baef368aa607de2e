// Four processes of the service on one database and one Redis.

import type { Test } from 'tap'
import { BotClient } from './bot-client.ts'
import { testPool } from './fresh-database.ts'
import { startProcessFleet, TOKEN } from './process-fleet.ts'
import type { ServiceProcess } from './service-process.ts'

export const TRADER = 'acme/trader@acme.example'
export const SECOND = 'acme/second-trader@acme.example'

/** So that it is the guard that refuses. */
export const UNLIMITED = {
  RATE_LIMITS_START: '1000000/minute',
  RATE_LIMITS_STOP: '1000000/minute',
  RATE_LIMITS_RECOVER: '1000000/minute',
  RATE_LIMITS_STATUS: '1000000/minute',
  RATE_LIMITS_GLOBAL: '1000000/minute',
}

interface Operations {
  readonly begun: { readonly fenced: number; readonly local: number; readonly degraded: number }
}

/** Starts them, with what they need; all of it ends with the test. */
export async function startBotFleet(t: Test, environment: Readonly<Record<string, string>>) {
  const { postgres, redis, start } = await startProcessFleet(t, {
    // What holds a row in a test must not be what ends the operation.
    DB_LOCK_TIMEOUT: '2900ms',
    DB_IDLE_IN_TRANSACTION_TIMEOUT: '60s',
    ...UNLIMITED,
    ...environment,
  })
  const sql = testPool(postgres.directUrl, 4)
  t.teardown(() => sql.end())
  return {
    postgres,
    redis,
    sql,
    start,
    as: ({ url }: ServiceProcess, user = TRADER) =>
      new BotClient({ url, databaseUrl: postgres.directUrl }, user),
    botOf: async (email: string, at = 0) => {
      const { rows } = await sql.query(
        'select bots.id from bots join users on users.id = user_id where email = $1 order by bots.id',
        [email],
      )
      return String(rows[at]?.['id'])
    },
    events: async () => (await sql.query('select kind, fence from bot_events order by id')).rows,
    /** What `/health/check` tells about the operations of a process. */
    operationsOf: async ({ url }: ServiceProcess) => {
      const answer = await fetch(`${url}/health/check`, { headers: { authorization: `Bearer ${TOKEN}` } })
      const { reports } = (await answer.json()) as { reports: { operations: Operations } }
      return reports.operations
    },
    statusOf: async (botId: string) =>
      (await sql.query('select status from bots where id = $1', [botId])).rows[0]?.['status'],
  }
}
