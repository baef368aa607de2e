// Settles an event a few bets at a time, in a process that a test kills.

import { PoolGuard } from '@holdfast/pool-guard'
import { Settlement } from '../src/workers/settlement/settlement.ts'

const { DATABASE_URL: connectionString = '', EVENT_ID: eventId = '' } = process.env
const pool = new PoolGuard({ connectionString, max: 2, min: 0 })
const settlement = new Settlement(pool, {
  tell: async (tx, { kind, tenantId, userId, payload }) => {
    await tx.query('insert into told (user_id, tenant_id, kind, payload) values ($1, $2, $3, $4)', [
      userId,
      tenantId,
      kind,
      JSON.stringify(payload),
    ])
  },
})
for (let more = true; more; ) ({ more } = await settlement.settleNext({ eventId, limit: 10 }))
await pool.close()
