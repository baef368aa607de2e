// A write whose COMMIT was lost is no error of the service: whoever asked is told that nobody knows.

import { PoolGuard } from '@holdfast/pool-guard'
import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { classifyUnavailable } from '../src/db/unavailable.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

t.test('whoever asked is told to look, and when', async (t) => {
  const pool = new PoolGuard({ connectionString: postgres.url, max: 1, min: 0 })
  t.teardown(() => pool.close())
  let seen = ''
  const lost = pool.transaction({}, async (tx) => {
    await tx.query('create table written (id bigint)')
    postgres.proxy.onClientData = (chunk) => {
      seen += chunk.toString('latin1')
      if (seen.includes('commit')) postgres.proxy.reset()
    }
  })
  const error = await lost.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  t.match(error, { code: 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN', statusCode: 500 })
  t.match(classifyUnavailable(error), {
    status: 503,
    error: 'HOLDFAST_ERR_API_OUTCOME_UNKNOWN',
    retryAfterSeconds: 1,
    level: 'warn',
  })
})
