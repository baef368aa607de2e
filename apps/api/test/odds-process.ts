// Keeps odds in a process of its own, as a worker does, for tests that kill and freeze it. Says on standard output when it
// has begun, what it has, and what has failed.

import { setTimeout as sleep } from 'node:timers/promises'
import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { PoolGuard } from '@holdfast/pool-guard'
import { Leases } from '../src/db/leases.ts'
import { ProviderClient } from '../src/provider/provider-client.ts'
import { OddsWorker } from '../src/workers/odds/odds-worker.ts'
import { ProviderPace } from '../src/workers/odds/provider-pace.ts'
import { tableQueue } from './odds-database.ts'

const { DATABASE_URL = '', OWNER = '', PROVIDER_URL = '', SPORTS = '', INTERVAL_MS = '' } = process.env
const { LEASE_MS = '', SILENCE_MS = '' } = process.env
/** So often that no round waits for its turn. */
const REQUESTS_PER_MINUTE = 6000
/** A provider that a test holds up is waited for. */
const PATIENCE_MS = 60_000

const say = (fields: object) => void process.stdout.write(`${JSON.stringify(fields)}\n`)
const log = {
  debug() {},
  info() {},
  warn: (fields: object, message: string) => say({ message, ...fields }),
}
const pool = new PoolGuard({
  connectionString: DATABASE_URL,
  max: 5,
  min: 1,
  guardrails: { idleInTransactionTimeoutMs: Number(SILENCE_MS) },
  log,
})
const leases = new Leases({ pool, owner: OWNER, leaseMs: Number(LEASE_MS) })
const provider = new ProviderClient({ url: PROVIDER_URL, timeoutMs: PATIENCE_MS })
const worker = new OddsWorker({
  pool,
  leases,
  provider,
  pace: new ProviderPace({ pool, provider: 'simulator', requestsPerMinute: REQUESTS_PER_MINUTE }),
  breaker: new CircuitBreaker('odds-provider'),
  queue: tableQueue,
  sports: SPORTS.split(','),
  intervalMs: Number(INTERVAL_MS),
  log,
})

let isEnding = false
process.once('SIGTERM', () => {
  isEnding = true
})
worker.start()
say({ begun: OWNER })
while (!isEnding) {
  await sleep(100)
  const sports = worker.snapshot()
  say({
    leads: sports.filter(({ leads }) => leads).length,
    saved: sports.reduce((sum, { saved }) => sum + saved, 0),
  })
}
await worker.stop()
await leases.close()
await provider.close()
await pool.close()
say({ ended: OWNER })
