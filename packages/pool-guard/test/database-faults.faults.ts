import { setTimeout as sleep } from 'node:timers/promises'
import {
  type PostgresServer,
  type RealServer,
  StallWatch,
  startPgBouncer,
  startPostgres,
  waitUntil,
} from '@holdfast/test-kit'
import pg from 'pg'
import t, { type Test } from 'tap'
import { PoolGuard, type PoolGuardOptions } from '../src/index.ts'
import { Writers } from './writers.ts'

/** What one write may take at most: waiting for a connection, opening one, three statements and their cancels. */
const budgetMs = 3500
const recoveryMs = 2000

const settings: PoolGuardOptions = {
  max: 10,
  connectTimeoutMs: 1000,
  statementTimeoutMs: 500,
  guardrails: { statementTimeoutMs: 500, lockTimeoutMs: 200, idleInTransactionTimeoutMs: 1000 },
  critical: { maxWaiting: 200, maxWaitMs: 1000 },
}

let postgres: PostgresServer
let pgbouncer: RealServer

t.before(async () => {
  postgres = await startPostgres({ settings: { max_connections: '30' } })
  pgbouncer = await startPgBouncer({
    target: postgres,
    // A CancelRequest that waits for the server longer than query_wait_timeout makes PgBouncer 1.18 end itself
    // ("bad client state: 0", pgbouncer issue 801), so this is longer than every fault here.
    settings: { default_pool_size: '8', server_login_retry: '1', query_wait_timeout: '30' },
  })
})
t.teardown(async () => {
  await pgbouncer.stop()
  await postgres.stop()
})

interface Fault {
  readonly title: string
  readonly through: () => RealServer
  /** Resolves when the dependency is back. */
  readonly strike: (t: Test, guard: PoolGuard) => Promise<void>
  /** The longest pause without an acknowledged write while it lasts; left out when there may be none. */
  readonly keepsOn?: number
}

/** A connection past the guard. */
async function withAdmin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function backendOfApp(): Promise<number> {
  return withAdmin(postgres.directUrl, async (admin) => {
    const { rows } = await admin.query(
      "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1",
    )
    return Number(rows[0].pid)
  })
}

const console = (sql: string) =>
  withAdmin(pgbouncer.directUrl.replace(/postgres$/, 'pgbouncer'), (client) => client.query(sql))

const faults: readonly Fault[] = [
  {
    title: 'PostgreSQL is frozen for 5 s',
    through: () => postgres,
    async strike() {
      postgres.freeze()
      await sleep(5000)
      postgres.thaw()
    },
  },
  {
    title: 'PostgreSQL is killed and started again',
    through: () => postgres,
    async strike() {
      await postgres.kill9()
      await sleep(500)
      await postgres.restart()
    },
  },
  {
    title: 'PostgreSQL restarts in order',
    through: () => postgres,
    strike: () => postgres.restart(),
  },
  {
    title: 'PostgreSQL is in a black hole for 3 s',
    through: () => postgres,
    async strike() {
      postgres.blackhole()
      await sleep(3000)
      await postgres.heal()
    },
  },
  {
    title: 'every connection is reset',
    through: () => postgres,
    async strike() {
      postgres.proxy.reset()
    },
    keepsOn: 1000,
  },
  {
    title: 'one backend is frozen for 3 s: the others go on',
    through: () => postgres,
    async strike() {
      const pid = await backendOfApp()
      process.kill(pid, 'SIGSTOP')
      try {
        await sleep(3000)
      } finally {
        process.kill(pid, 'SIGCONT')
      }
    },
    keepsOn: 1000,
  },
  {
    title: 'one backend is terminated, ten times: the others go on',
    through: () => postgres,
    async strike() {
      for (let round = 0; round < 10; round += 1) {
        const pid = await backendOfApp()
        await withAdmin(postgres.directUrl, (admin) => admin.query('select pg_terminate_backend($1)', [pid]))
        await sleep(30)
      }
    },
    keepsOn: 1000,
  },
  {
    title: 'one backend crashes, and takes all others with it',
    through: () => postgres,
    async strike() {
      process.kill(await backendOfApp(), 'SIGKILL')
      await waitUntil(
        () =>
          backendOfApp().then(
            () => true,
            () => false,
          ),
        { timeoutMs: 20_000 },
      )
    },
  },
  {
    title: 'PgBouncer is killed and started again',
    through: () => pgbouncer,
    async strike() {
      await pgbouncer.kill9()
      await sleep(500)
      await pgbouncer.restart()
    },
  },
  {
    title: 'PgBouncer is frozen for 3 s',
    through: () => pgbouncer,
    async strike() {
      pgbouncer.freeze()
      await sleep(3000)
      pgbouncer.thaw()
    },
  },
  {
    title: 'PgBouncer is paused for 2 s',
    through: () => pgbouncer,
    async strike() {
      // PAUSE itself waits until no server is in use.
      await console('pause')
      await sleep(2000)
      await console('resume')
    },
  },
  {
    title: 'PostgreSQL behind PgBouncer is frozen for 3 s',
    through: () => pgbouncer,
    async strike() {
      postgres.freeze()
      await sleep(3000)
      postgres.thaw()
    },
  },
  {
    title: 'PostgreSQL behind PgBouncer is killed and started again',
    through: () => pgbouncer,
    async strike() {
      await postgres.kill9()
      await sleep(500)
      await postgres.restart()
    },
  },
]

for (const { title, through, strike, keepsOn } of faults) {
  t.test(title, async (t) => {
    const guard = new PoolGuard({ ...settings, connectionString: through().url })
    t.teardown(() => guard.close({ graceMs: 0 }))
    const writers = new Writers(guard)
    t.teardown(() => writers.halt())
    await writers.start(20)
    await waitUntil(() => writers.acknowledged > 100)
    let longestPauseMs = 0
    const stalls = new StallWatch()
    t.teardown(() => stalls.stop())
    const watch = setInterval(() => {
      longestPauseMs = Math.max(longestPauseMs, performance.now() - writers.lastAckMs)
    }, 20)
    await strike(t, guard)
    const backMs = performance.now()
    await waitUntil(() => writers.lastAckMs > backMs, { timeoutMs: 15_000, what: 'a write after the fault' })
    const recoveredMs = writers.lastAckMs - backMs
    await sleep(300)
    clearInterval(watch)
    const result = await writers.stop()
    t.comment(`recovered after ${Math.round(recoveredMs)} ms, longest pause ${Math.round(longestPauseMs)} ms`)
    t.comment(JSON.stringify(result))
    t.comment(JSON.stringify(guard.snapshot().totals))
    t.strictSame(result.lost, [], 'every acknowledged write is stored')
    t.strictSame(result.twice, [], 'none is stored twice')
    t.strictSame(result.ghosts, [], 'none that was refused for sure is stored')
    const busyMs = stalls.allowanceMs()
    t.ok(recoveredMs <= recoveryMs + busyMs, `recovered after ${recoveredMs} ms`)
    t.ok(result.slowestMs <= budgetMs + busyMs, `the slowest write took ${result.slowestMs} ms`)
    if (keepsOn !== undefined)
      t.ok(longestPauseMs <= keepsOn + busyMs, `a pause of ${longestPauseMs} ms without any write`)
    const { inUse, connecting } = guard.snapshot().connections
    t.ok(inUse + connecting <= 1, 'nothing is left on loan')
  })
}

/** Takes every connection slot of PostgreSQL that a role without privileges could have. */
async function takeAllSlots(): Promise<() => Promise<void>> {
  const clients: pg.Client[] = []
  for (;;) {
    const client = new pg.Client({ connectionString: postgres.directUrl })
    client.on('error', () => {})
    try {
      await client.connect()
      clients.push(client)
    } catch {
      return async () => {
        await Promise.all(clients.map((taken) => taken.end()))
      }
    }
  }
}

for (const { name, through } of [
  { name: 'direct', through: () => postgres },
  { name: 'through PgBouncer', through: () => pgbouncer },
]) {
  t.test(`no connection slot is left on the server (${name}): refused at once, and well again`, async (t) => {
    const guard = new PoolGuard({ ...settings, min: 0, connectionString: through().url })
    t.teardown(() => guard.close({ graceMs: 0 }))
    // PgBouncer would go on with the connections it has.
    if (through() === pgbouncer) {
      await console('reconnect')
      await sleep(500)
    }
    const giveBack = await takeAllSlots()
    const stalls = new StallWatch()
    t.teardown(() => stalls.stop())
    let failure: unknown
    const startMs = performance.now()
    await guard.query('select 1', [], { criticality: 'critical' }).catch((error) => {
      failure = error
    })
    t.comment(`${Math.round(performance.now() - startMs)} ms: ${failure}`)
    t.match(failure, { statusCode: /^50[34]$/ })
    t.ok(performance.now() - startMs < budgetMs + stalls.allowanceMs())
    await giveBack()
    const backMs = performance.now()
    const answers = () =>
      guard.query('select 1', [], { criticality: 'critical' }).then(
        () => true,
        () => false,
      )
    await waitUntil(answers)
    t.ok(performance.now() - backMs <= recoveryMs + stalls.allowanceMs(), `${performance.now() - backMs} ms`)
  })

  t.test(`a transaction that idles too long is ended by the server (${name}), and no process`, async (t) => {
    const guard = new PoolGuard({ ...settings, connectionString: through().url })
    t.teardown(() => guard.close({ graceMs: 0 }))
    for (let round = 0; round < 3; round += 1) {
      await t.rejects(
        guard.transaction({ idleInTransactionTimeoutMs: 100 }, async (tx) => {
          await tx.query('select 1')
          await sleep(400)
          await tx.query('select 2')
        }),
        { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECTION_LOST', statusCode: 503 },
      )
    }
    t.match((await guard.query('select 3 as three')).rows, [{ three: 3 }])
  })

  t.test(`an idle transaction whose backend is killed ends no process (${name})`, async (t) => {
    const guard = new PoolGuard({ ...settings, connectionString: through().url })
    t.teardown(() => guard.close({ graceMs: 0 }))
    await t.rejects(
      guard.transaction({}, async (tx) => {
        const { rows } = await tx.query('select pg_backend_pid() as pid')
        await withAdmin(postgres.directUrl, (admin) =>
          admin.query('select pg_terminate_backend($1)', [rows[0]?.['pid']]),
        )
        await waitUntil(() => guard.snapshot().totals.lost > 0)
        await tx.query('select 1')
      }),
      { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECTION_LOST' },
    )
    t.match((await guard.query('select 3 as three')).rows, [{ three: 3 }])
  })
}
