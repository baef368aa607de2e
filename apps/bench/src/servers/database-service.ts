/**
 * A service with three kinds of routes over one PostgreSQL and 20 connections, in which every statement takes 20 ms:
 * a critical write, a read that can be answered from a cache, and a public page that needs no database. The argument
 * says what stands between the routes and the database. All of them ask through Kysely, and all have the same cache.
 *
 * - `ours`: pool-guard, with its defaults for a pool of 20.
 * - `plain`: a `pg.Pool` as it comes.
 * - `cockatiel`: a bulkhead of 20 with a queue of 100, in it a breaker (5 failures in a row, 1 s), in it a time-out
 *   of 1 s, around every statement.
 * - `opossum`: a breaker with a capacity of 20 and a time-out of 1 s around every statement.
 */
import { type PoolGuardRouteOptions, poolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import {
  bulkhead,
  ConsecutiveBreaker,
  circuitBreaker,
  handleAll,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel'
import fastify, { type FastifyReply } from 'fastify'
import { Kysely, PostgresDialect, sql } from 'kysely'
import CircuitBreaker from 'opossum'
import pg from 'pg'
import { databaseUrl } from '../config.ts'
import { answerParent } from '../harness/parent.ts'
import { listen } from './listen.ts'

const MAX = 20
const PEER_QUEUE = 100
const PEER_TIMEOUT_MS = 1000
const SAMPLE_MS = 5

interface Tables {
  bench_write: { service: number; request: number }
}

/** What stands before the database. */
interface Door {
  readonly db: Kysely<Tables>
  run<T>(work: () => Promise<T>): Promise<T>
  waiting(): number
}

const app = fastify({ forceCloseConnections: true })
const contender = process.argv[2] ?? 'ours'
const door = contender === 'ours' ? await ourDoor() : peerDoor(contender)

const CACHED = { rows: 1, cached: true }
const read = async () => {
  await door.run(() => sql`select pg_sleep(0.02)`.execute(door.db))
  return { rows: 1, cached: false }
}
let writes = 0
const write = async () => {
  writes += 1
  const request = writes
  await door.run(() =>
    sql`with written as (insert into bench_write values (${process.pid}, ${request}) returning request)
        select pg_sleep(0.02) from written`.execute(door.db),
  )
  return { written: true }
}
const fromDatabase = <T>(reply: FastifyReply, payload: T): T => {
  reply.header('x-source', 'database')
  return payload
}
/** The guard of a route; of no meaning to the peers. */
const guarded = (poolGuard: PoolGuardRouteOptions) => ({ config: { poolGuard } })

app.get('/ready', async () => {
  await door.run(() => sql`select 1`.execute(door.db))
  return { ready: true }
})
app.get('/public', async () => ({ page: 'always there' }))
app.post('/critical', guarded({ criticality: 'critical', budgetMs: 2000 }), async (_request, reply) =>
  fromDatabase(reply, await write()),
)
app.get(
  '/normal',
  guarded({ criticality: 'normal', budgetMs: 500, fallback: () => CACHED }),
  async (_request, reply) => {
    if (contender === 'ours') return fromDatabase(reply, await read())
    // The peers have no fallback of their own for a route; this is the best that can be done around them.
    try {
      return fromDatabase(reply, await read())
    } catch {
      return CACHED
    }
  },
)

let greatestQueue = 0
setInterval(() => {
  greatestQueue = Math.max(greatestQueue, door.waiting())
}, SAMPLE_MS).unref()

answerParent({
  report: async () => {
    const client = new pg.Client({ connectionString: databaseUrl() })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query<{ stored: number; written: number }>(
      // The statements of another one may still run when this one begins.
      `select count(*)::int as stored, count(distinct request)::int as written
         from bench_write where service = ${process.pid}`,
    )
    await client.end()
    const { stored = 0, written = 0 } = rows[0] ?? {}
    return { greatestQueue, written, writtenTwice: stored - written }
  },
})
await listen(app)

async function ourDoor(): Promise<Door> {
  await app.register(poolGuard, { connectionString: databaseUrl() ?? '', max: MAX })
  const guard = app.poolGuard
  return {
    db: new Kysely<Tables>({ dialect: guardedDialect(guard) }),
    run: (work) => work(),
    waiting: () => guard.snapshot().waiting,
  }
}

function peerDoor(name: string): Door {
  const pool = new pg.Pool({ connectionString: databaseUrl(), max: MAX })
  pool.on('error', () => {})
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  if (name === 'cockatiel') {
    const places = bulkhead(MAX, PEER_QUEUE)
    // The breaker is inside, where it does not count what the bulkhead refuses.
    const breaker = circuitBreaker(handleAll, {
      halfOpenAfter: PEER_TIMEOUT_MS,
      breaker: new ConsecutiveBreaker(5),
    })
    const policy = wrap(places, breaker, timeout(PEER_TIMEOUT_MS, TimeoutStrategy.Aggressive))
    return { db, run: (work) => policy.execute(work), waiting: () => PEER_QUEUE - places.queueSlots }
  }
  if (name === 'opossum') {
    const breaker = new CircuitBreaker((work: () => Promise<unknown>) => work(), {
      capacity: MAX,
      timeout: PEER_TIMEOUT_MS,
      resetTimeout: PEER_TIMEOUT_MS,
    })
    return {
      db,
      run: <T>(work: () => Promise<T>) => breaker.fire(work) as Promise<T>,
      waiting: () => pool.waitingCount,
    }
  }
  return { db, run: (work) => work(), waiting: () => pool.waitingCount }
}
