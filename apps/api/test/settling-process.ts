// Settles whatever the queue has, in a process that a test kills.

import { Logs } from '@holdfast/logging'
import { PoolGuard } from '@holdfast/pool-guard'
import type { FastifyRequest } from 'fastify'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { SettlementWorker } from '../src/workers/settlement/settlement-worker.ts'

const { DATABASE_URL: connectionString = '' } = process.env
const pool = new PoolGuard({ connectionString, max: 5, min: 0, processType: 'worker_settlement' })
const logs = new Logs<FastifyRequest>({ destination: { write() {} } })
const log = { warn() {}, error() {} }
const queue = new BossQueue({ pool, correlation: logs, log, pollMs: 100, lookSeconds: 1 })
const settlement = new Settlement(pool, {
  tell: async (tx, { payload }) => {
    await tx.query(
      `insert into told select (bet ->> 'bet_id')::bigint from jsonb_array_elements($1::jsonb) as bet`,
      [JSON.stringify(payload['bets'])],
    )
  },
})
const worker = new SettlementWorker({ queue, settlement, logs, betsAtOnce: 5, maxParts: 3 })
await worker.start()
process.once('SIGTERM', async () => {
  await Promise.all([worker.stop(), queue.close()])
  await pool.close()
})
