import { HandClock, seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { cancelRace } from './cancel-race.ts'
import { poolsOn } from './pool-on-postgres.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.afterEach(() => postgres.heal())
const poolOf = poolsOn(postgres)

t.test('an error of a statement leaves the connection in use', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const client = await pool.checkout()
  const { processId } = client
  await t.rejects(client.query('select 1 / 0'), { code: '22012' })
  await t.rejects(client.query('selec'), { code: '42601' })
  t.strictSame((await client.query('select 7 as seven')).rows, [{ seven: 7 }])
  client.release()
  const again = await pool.checkout()
  t.equal(again.processId, processId)
  again.release()
  t.equal(pool.totals.opened, 1)
})

t.test(
  'statements of one client run in order, at most so many wait, and a waiting one can leave',
  async (t) => {
    const { pool } = poolOf(t)
    const client = await pool.checkout()
    const first = client.query('select pg_sleep(0.1), 1 as number')
    const controller = new AbortController()
    const leaving = client.query('select 2 as number', [], { signal: controller.signal })
    const rest = Array.from({ length: 99 }, (_, number) => client.query('select $1::int as number', [number]))
    await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_CLIENT_BUSY' })
    controller.abort()
    await t.rejects(leaving, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
    await t.rejects(client.query('select 1', [], { signal: controller.signal }), {
      code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED',
    })
    await first
    t.strictSame(
      (await Promise.all(rest)).map(({ rows }) => rows[0]?.['number']),
      Array.from({ length: 99 }, (_, number) => number),
    )
    t.match((await client.query('select 1 as a; select 2 as b')).rows, [{ b: 2 }], 'the last of several')
    await t.rejects(client.query('select 1', [], { timeoutMs: 0 }), {
      code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
    })
    await t.rejects(
      client.query('select $1::int', [
        {
          toPostgres: () => {
            throw new Error('unfit')
          },
        },
      ]),
      /unfit/,
    )
    t.match((await client.query('select 5 as five')).rows, [{ five: 5 }])
    client.release()
  },
)

t.test('a statement that takes too long is cancelled on the server, and the client goes on', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const client = await pool.checkout()
  const startMs = performance.now()
  await t.rejects(client.query('select pg_sleep(10)', [], { timeoutMs: 100 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
    statusCode: 504,
  })
  t.ok(performance.now() - startMs < 5000, 'the statement takes 10 s')
  t.strictSame((await client.query('select 3 as three')).rows, [{ three: 3 }])
  client.release()
  t.match(pool.totals, { cancelled: 1, destroyedByCancel: 0, opened: 1 })
})

t.test('a caller that leaves has its statement cancelled', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const controller = new AbortController()
  const client = await pool.checkout({ signal: controller.signal })
  const running = client.query('select pg_sleep(10)')
  controller.abort(new Error('gone'))
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED', cause: { message: 'gone' } })
  await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  client.release()
  await waitUntil(() => pool.counts.idle === 1)
  t.equal(pool.totals.cancelled, 1)
})

t.test('100 cancels at random moments never hit the next statement', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { pool } = poolOf(t, { max: 4 })
  const { wrong, cancelled, finished } = await cancelRace(pool, random, 100, 4)
  t.strictSame(wrong, [])
  t.equal(cancelled + finished, 100)
})

t.test(
  'a deadline shortens the limit of a statement, and a silent server costs its connection',
  async (t) => {
    const clock = new HandClock()
    const { pool, events } = poolOf(t, { cancelTimeoutMs: 60, clock })
    ;(await pool.checkout()).release()
    const client = await pool.checkout({ deadlineMs: clock.nowMs() + 100 })
    const cut = t.rejects(client.query('select pg_sleep(60)'), {
      code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
    })
    const watching = await pool.checkout()
    await waitUntil(async () => {
      const { rows } = await watching.query(
        "select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60)'",
      )
      return rows.length === 1
    })
    watching.release()
    await clock.advance(100)
    await cut
    await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED' })
    client.release()
    await waitUntil(() => pool.counts.inUse === 0)
    const other = await pool.checkout()
    postgres.blackhole()
    const silent = t.rejects(other.query('select 1', [], { timeoutMs: 50 }), {
      code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
    })
    await clock.advance(50)
    t.equal(pool.totals.destroyedByCancel, 0)
    await clock.advance(60)
    await silent
    await postgres.heal()
    other.release()
    t.equal(pool.totals.destroyedByCancel, 1)
    t.match(events.slice(-2), [{ kind: 'cancel', result: 'destroyed' }, { kind: 'connection-lost' }])
  },
)

t.test("a limit of pg's own in the address does not cut a statement loose", async (t) => {
  const { pool } = poolOf(t, { connectionString: `${postgres.url}?query_timeout=20` })
  const client = await pool.checkout()
  t.match((await client.query('select pg_sleep(0.1), 1 as one')).rows, [{ one: 1 }])
  client.release()
})

t.test('what is no statement and no limit is refused before it is sent', async (t) => {
  const { pool } = poolOf(t)
  const client = await pool.checkout()
  for (const wrong of [undefined, null, 5, { text: 'select 1', name: 'mine' }]) {
    await t.rejects(client.query(wrong as never), { code: 'HOLDFAST_ERR_POOL_GUARD_OPTION' })
  }
  await t.rejects(client.query('select 1', [], { timeoutMs: Number.NaN }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
  })
  const { rows } = await client.query('select pg_sleep(0.01), 1 as one', [], { timeoutMs: 1e12 })
  t.match(rows, [{ one: 1 }], 'longer than a timer can hold')
  client.release()
})

t.test('statements with names run where they are allowed, and are refused where not', async (t) => {
  const { pool } = poolOf(t, { namedStatements: true })
  const client = await pool.checkout()
  t.match((await client.query('select $1::int as n', [1], { name: 'n' })).rows, [{ n: 1 }])
  t.match((await client.query('select $1::int as n', [2], { name: 'n' })).rows, [{ n: 2 }])
  client.release()
  const { pool: strict } = poolOf(t)
  const refused = await strict.checkout()
  await t.rejects(refused.query('select 1', [], { name: 'n' }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_STATEMENT_NAME',
  })
  refused.release()
})

t.test('release twice gives back once, and a use after it says where the client was acquired', async (t) => {
  const { pool } = poolOf(t, { max: 1, stackEvery: 1 })
  const client = await pool.checkout()
  client.release()
  const other = await pool.checkout()
  client.release()
  client.destroy()
  t.equal(pool.counts.inUse, 1)
  const error = await client.query('select 1').then(
    () => undefined,
    (error: Error) => error,
  )
  t.match(error, { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED', statusCode: 500 })
  t.match(error, { cause: { stack: /guarded-client\.test\.ts/ } })
  t.strictSame((await other.query('select 1 as one')).rows, [{ one: 1 }])
  other.release()
})

t.test('destroy closes the connection, with what runs on it', async (t) => {
  const { pool } = poolOf(t)
  const client = await pool.checkout()
  const running = client.query('select pg_sleep(5)')
  client.destroy()
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await waitUntil(() => pool.counts.total === 0)
  await t.rejects(client.begin(), { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await t.rejects(client.commit(), { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await t.rejects(client.rollback(), { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  t.equal(client.transactionStatus, 'I')
  t.ok(client.processId > 0)
})
