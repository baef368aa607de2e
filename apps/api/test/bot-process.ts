// Runs bots in a process of its own, as a worker does, for tests that kill and freeze it. Says on standard output when it
// has begun and what it has done.

import { setTimeout as sleep } from 'node:timers/promises'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import { systemClock } from '@holdfast/footing'
import { health } from '@holdfast/health'
import { PoolGuard } from '@holdfast/pool-guard'
import Fastify from 'fastify'
import { Leases } from '../src/db/leases.ts'
import { MarketFeed } from '../src/market/market-feed.ts'
import { BotRunner } from '../src/workers/bots/bot-runner.ts'
import { tellInTable } from './trading-floor.ts'

const { DATABASE_URL = '', OWNER = '', TICK_MS = '', LEASE_MS = '' } = process.env
const leaseMs = Number(LEASE_MS)
const say = (fields: object) => void process.stdout.write(`${JSON.stringify(fields)}\n`)

const app = Fastify()
await app.register(health)
await app.register(circuitBreaker)
const pool = new PoolGuard({ connectionString: DATABASE_URL, max: 5, min: 1 })
const leases = new Leases({ pool, owner: OWNER, leaseMs })
const runner = new BotRunner({
  pool,
  leases,
  owner: OWNER,
  leaseMs,
  feed: new MarketFeed(),
  tickMs: Number(TICK_MS),
  maxBots: 500,
  tell: tellInTable,
  counters: { decided() {}, traded() {} },
  log: {
    info: (fields, message) => say({ message, ...fields }),
    warn: (fields, message) => say({ message, ...fields }),
  },
  breakers: app.circuitBreaker,
  health: app.health,
  clock: systemClock,
  random: Math.random,
})

let isEnding = false
process.once('SIGTERM', () => {
  isEnding = true
})
runner.start()
say({ begun: OWNER })
while (!isEnding) {
  await sleep(100)
  const { bots, trades } = runner.snapshot()
  say({ bots, trades })
}
await runner.stop()
await leases.close()
await app.close()
await pool.close()
say({ ended: OWNER })
