import { systemClock } from '@holdfast/footing'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { runInScope } from '../src/index.ts'
import type { ConnectionPoolSettings } from '../src/pool-settings.ts'
import { runTransaction, type TransactionSource } from '../src/transaction.ts'
import { poolsOn } from './pool-on-postgres.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const poolOf = poolsOn(postgres)

async function sourceOf(t: Test, settings: ConnectionPoolSettings = {}) {
  const { pool } = poolOf(t, { max: 3, ...settings })
  const retries: unknown[] = []
  const source: TransactionSource = {
    acquire: (scope) => pool.checkout(scope),
    clock: systemClock,
    random: () => 0.5,
    onRetry: (_attempt, error) => retries.push((error as { code?: string }).code),
  }
  const client = await pool.checkout()
  await client.query('drop table if exists things')
  await client.query('create table things (id int primary key, amount int not null default 0)')
  client.release()
  const ids = async () => {
    const reader = await pool.checkout()
    const { rows } = await reader.query('select id from things order by id')
    reader.release()
    return rows.map((row) => row['id'])
  }
  return { pool, source, ids, retries }
}

t.test('commits what its work did, and returns what it returned', async (t) => {
  const { source, ids, pool } = await sourceOf(t)
  const answer = await runTransaction(source, {}, async (tx) => {
    await tx.query('insert into things (id) values ($1)', [1])
    return tx.attempt
  })
  t.equal(answer, 1)
  t.strictSame(await ids(), [1])
  t.equal(pool.counts.inUse, 0)
})

t.test('rolls back what its work did before it threw, and throws the same', async (t) => {
  const { source, ids, pool } = await sourceOf(t)
  const error = new Error('changed my mind')
  const failing = runTransaction(source, {}, async (tx) => {
    await tx.query('insert into things (id) values (1)')
    throw error
  })
  t.equal(await failing.catch((thrown) => thrown), error)
  t.strictSame(await ids(), [])
  t.equal(pool.totals.dirtyReleases, 0)
})

t.test('the guardrails are in force inside, and gone afterwards', async (t) => {
  const { source, pool } = await sourceOf(t, {
    max: 1,
    guardrails: { statementTimeoutMs: 1234, lockTimeoutMs: 321, idleInTransactionTimeoutMs: 4321 },
  })
  const limits = `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
    current_setting('idle_in_transaction_session_timeout') as idle, current_setting('transaction_timeout') as whole,
    current_setting('transaction_read_only') as readonly, current_setting('transaction_isolation') as isolation`
  const options = { readOnly: true, isolation: 'serializable', transactionTimeoutMs: 9000 }
  const { rows } = await runTransaction(source, options, (tx) => tx.query(limits))
  t.strictSame(rows, [
    {
      statement: '1234ms',
      lock: '321ms',
      idle: '4321ms',
      whole: '9s',
      readonly: 'on',
      isolation: 'serializable',
    },
  ])
  const client = await pool.checkout()
  t.match((await client.query(limits)).rows, [{ statement: '0', lock: '0', idle: '0', whole: '0' }])
  client.release()
  await t.rejects(
    runTransaction(source, { isolation: 'read committed; drop table things' }, async () => {}),
    { code: 'HOLDFAST_ERR_POOL_GUARD_OPTION' },
  )
})

t.test('no limit of the server is longer than what is left of the deadline', async (t) => {
  const { source } = await sourceOf(t, { guardrails: { statementTimeoutMs: 600_000 } })
  const deadlineMs = systemClock.nowMs() + 60_000
  const { rows } = await runTransaction(source, { deadlineMs }, (tx) =>
    tx.query("select setting::int as ms from pg_settings where name = 'statement_timeout'"),
  )
  const ms = Number(rows[0]?.['ms'])
  t.ok(ms > 0 && ms <= 60_000, `${ms}`)
})

t.test('a statement that the server ended by its limit is a time-out, and is told as one', async (t) => {
  const { source } = await sourceOf(t, { guardrails: { statementTimeoutMs: 60, lockTimeoutMs: 30 } })
  await t.rejects(
    runTransaction(source, {}, (tx) => tx.query('select pg_sleep(5)')),
    { code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT', statusCode: 504, cause: { code: '57014' } },
  )
})

t.test('a COMMIT that the server answers with ROLLBACK is an error, with its cause', async (t) => {
  const { source, ids } = await sourceOf(t)
  const swallowing = runTransaction(source, {}, async (tx) => {
    await tx.query('insert into things (id) values (1)')
    await tx.query('insert into things (id) values (1)').catch(() => {})
    return 'said so'
  })
  await t.rejects(swallowing, {
    code: 'HOLDFAST_ERR_POOL_GUARD_TX_ROLLED_BACK',
    statusCode: 500,
    cause: { code: '23505' },
  })
  t.strictSame(await ids(), [])
})

t.test('a failed savepoint takes only its own part', async (t) => {
  const { source, ids } = await sourceOf(t)
  await runTransaction(source, {}, async (tx) => {
    await tx.query('insert into things (id) values (1)')
    await t.rejects(
      tx.savepoint(async (inner) => {
        await inner.query('insert into things (id) values (2)')
        await inner.query('insert into things (id) values (1)')
      }),
      { code: '23505' },
    )
    t.equal(await tx.savepoint(async (inner) => (await inner.query('select 9 as nine')).rows[0]?.['nine']), 9)
    await tx.query('insert into things (id) values (3)')
  })
  t.strictSame(await ids(), [1, 3])
})

t.test('a transaction inside a transaction is refused', async (t) => {
  const { source } = await sourceOf(t)
  await t.rejects(
    runTransaction(source, {}, () => runTransaction(source, {}, async () => {})),
    { code: 'HOLDFAST_ERR_POOL_GUARD_TX_NESTED' },
  )
  const { source: other } = await sourceOf(t)
  await runTransaction(source, {}, () => runTransaction(other, {}, async () => {}))
})

t.test('what a transaction started and did not wait for may begin one of its own later', async (t) => {
  const { source } = await sourceOf(t)
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  let later: Promise<string> | undefined
  await runTransaction(source, {}, async () => {
    later = over.then(() => runTransaction(source, {}, async () => 'begun'))
  })
  end()
  t.equal(await later, 'begun')
})

t.test('a rollback does not wait for a statement that nobody waits for', async (t) => {
  const { source, pool } = await sourceOf(t, { statementTimeoutMs: 60_000 })
  let floating: Promise<unknown> = Promise.resolve()
  const failing = runTransaction(source, {}, async (tx) => {
    floating = tx.query('select pg_sleep(20)').catch((error: { code: string }) => error.code)
    throw new Error('mine')
  })
  await t.rejects(failing, /mine/)
  t.equal(await floating, 'HOLDFAST_ERR_POOL_GUARD_ABORTED')
  t.match(pool.totals, { cancelled: 1, destroyedByCancel: 0, lost: 0, dirtyReleases: 0 })
})

t.test('retries that are no number are refused, and a BEGIN that fails leaves a clean client', async (t) => {
  const { source, pool } = await sourceOf(t)
  for (const retries of [Number.NaN, -1, 101, Number.POSITIVE_INFINITY]) {
    await t.rejects(
      runTransaction(source, { retries }, async () => 1),
      { code: 'HOLDFAST_ERR_POOL_GUARD_OPTION' },
    )
  }
  await t.rejects(
    runTransaction(source, { statementTimeoutMs: -1 }, async () => 1),
    { code: '22023' },
  )
  t.match(pool.totals, { dirtyReleases: 0, opened: 1 })
})

t.test('is tried again after a serialization failure, holding nothing meanwhile', async (t) => {
  const { source, pool, retries } = await sourceOf(t)
  const setUp = await pool.checkout()
  await setUp.query('insert into things (id, amount) values (1, 0)')
  setUp.release()
  let held = -1
  const watching: TransactionSource = {
    ...source,
    onRetry: (attempt, error) => {
      held = pool.counts.inUse
      source.onRetry?.(attempt, error)
    },
  }
  await runTransaction(watching, { isolation: 'repeatable read', retries: 2 }, async (tx) => {
    await tx.query('select amount from things')
    if (tx.attempt === 1) {
      const other = await pool.checkout()
      await other.query('update things set amount = amount + 10')
      other.release()
    }
    await tx.query('update things set amount = amount + 1')
  })
  t.strictSame(retries, ['40001'])
  t.equal(held, 0)
  const reader = await pool.checkout()
  t.strictSame((await reader.query('select amount from things')).rows, [{ amount: 11 }])
  reader.release()
})

t.test('is not tried again when nobody wished it, and gives up when the deadline is near', async (t) => {
  const { source, retries } = await sourceOf(t)
  let attempts = 0
  const losing = async () => {
    attempts += 1
    throw Object.assign(new Error('deadlock'), { code: '40P01' })
  }
  await t.rejects(runTransaction(source, {}, losing), { code: '40P01' })
  t.equal(attempts, 1)
  const wrapped = async () => {
    attempts += 1
    throw new Error('could not save', { cause: Object.assign(new Error('deadlock'), { code: '40P01' }) })
  }
  await t.rejects(runTransaction(source, { retries: 2 }, wrapped), /could not save/)
  t.equal(attempts, 4)
  t.equal(retries.length, 2)
  const tight: TransactionSource = { ...source, random: () => 1e6 }
  await t.rejects(runTransaction(tight, { retries: 2, deadlineMs: systemClock.nowMs() + 60_000 }, losing), {
    code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
    cause: { code: '40P01' },
  })
})

t.test('a caller that leaves between two tries gets no further one', async (t) => {
  const { source } = await sourceOf(t)
  const controller = new AbortController()
  const slow: TransactionSource = { ...source, random: () => 10, onRetry: () => controller.abort() }
  await t.rejects(
    runTransaction(slow, { retries: 2, signal: controller.signal }, async () => {
      throw Object.assign(new Error('deadlock'), { code: '40P01' })
    }),
    { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' },
  )
  const later = new AbortController()
  const waiting: TransactionSource = {
    ...source,
    random: () => 100,
    onRetry: () => setTimeout(() => later.abort(), 5),
  }
  await t.rejects(
    runInScope({ signal: later.signal }, () =>
      runTransaction(waiting, { retries: 2 }, async () => {
        throw Object.assign(new Error('deadlock'), { code: '40P01' })
      }),
    ),
    { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' },
  )
})

t.test(
  'a caller that leaves before COMMIT has nothing committed, even when the work swallows it',
  async (t) => {
    const { source, ids } = await sourceOf(t)
    const controller = new AbortController()
    const leaving = runTransaction(source, { signal: controller.signal }, async (tx) => {
      await tx.query('insert into things (id) values (1)')
      controller.abort()
      await tx.query('select 1').catch(() => {})
    })
    await t.rejects(leaving, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
    t.strictSame(await ids(), [])
  },
)

t.test(
  'a connection that breaks during COMMIT leaves the outcome unknown, and nothing is tried again',
  async (t) => {
    const { source, ids } = await sourceOf(t)
    let attempts = 0
    const breaking = runTransaction(source, { retries: 5 }, async (tx) => {
      attempts += 1
      await tx.query('insert into things (id) values (1)')
      // The COMMIT arrives, its answer does not.
      let seen = ''
      postgres.proxy.onClientData = (chunk) => {
        seen += chunk.toString('latin1')
        if (!seen.includes('commit')) return
        postgres.proxy.onClientData = undefined
        setTimeout(() => postgres.proxy.reset(), 30)
      }
      postgres.proxy.latency(20)
    })
    await t.rejects(breaking, { code: 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN', statusCode: 500 })
    t.equal(attempts, 1)
    await postgres.heal()
    const stored = await ids()
    t.ok(stored.length <= 1, `${stored.length} stored: that is what nobody could know`)
  },
)

t.test('a connection that is found broken at BEGIN is replaced once', async (t) => {
  const { source, ids, pool } = await sourceOf(t)
  let broken = 0
  const breaking: TransactionSource = {
    ...source,
    async acquire(scope) {
      const client = await source.acquire(scope)
      if (broken === 0) {
        broken += 1
        const other = await pool.checkout()
        await other.query('select pg_terminate_backend($1)', [client.processId])
        other.release()
        await waitUntil(() => pool.totals.lost === 1)
      }
      return client
    },
  }
  await runTransaction(breaking, {}, (tx) => tx.query('insert into things (id) values (1)'))
  t.strictSame(await ids(), [1])
})
