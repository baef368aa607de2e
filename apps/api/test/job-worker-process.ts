// A process that works at `settle` until SIGTERM, for tests that end it. Each try is a row of `tries`; the effect is a
// row of `effects`, of which there can be one for each job, written by whoever comes first.

import { Logs } from '@holdfast/logging'
import { PoolGuard } from '@holdfast/pool-guard'
import { BossQueue } from '../src/jobs/boss-queue.ts'

const pool = new PoolGuard({ connectionString: process.env['DATABASE_URL'] ?? '', max: 5, min: 0 })
const logs = new Logs({})
const queue = new BossQueue({
  pool,
  correlation: logs,
  log: logs.logger,
  pollMs: 50,
  lookSeconds: 1,
  concurrency: 4,
  graceMs: 1000,
})

await queue.work<{ n: number; holdMs: number }>('settle', {
  parse: (payload) => payload as { n: number; holdMs: number },
  handle: async ({ payload: { n, holdMs }, attempt, signal }) => {
    await pool.query('insert into tries (n, attempt, pid) values ($1, $2, $3)', [n, attempt, process.pid])
    // The first one takes its time, as something that hangs; it is for others to kill it meanwhile.
    if (attempt === 1) await heldFor(holdMs, signal)
    await pool.transaction({ criticality: 'critical' }, async (tx) => {
      await tx.query('insert into effects (n) values ($1) on conflict do nothing', [n])
    })
  },
})

process.once('SIGTERM', async () => {
  await queue.close()
  await pool.close()
  process.exit(0)
})
process.stdout.write('working\n')

function heldFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}
