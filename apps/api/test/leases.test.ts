import { setTimeout as sleep } from 'node:timers/promises'
import { PoolGuard } from '@holdfast/pool-guard'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { type Lease, Leases, MAX_LEASES } from '../src/db/leases.ts'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function database(t: Test) {
  const url = await freshDatabase(postgres.directUrl)
  const pool = testGuard(t, url)
  await migrateUp(pool, migrations)
  const owner = (name: string, options: { leaseMs?: number; clock?: HandClock } = {}) => {
    const leases = new Leases({ pool, owner: name, ...options })
    t.teardown(() => leases.close())
    return leases
  }
  return { url, pool, owner }
}

t.test('a name has one owner, and every owner a larger fence', async (t) => {
  const { owner } = await database(t)
  const a = owner('a')
  const b = owner('b')
  const names = Array.from({ length: 40 }, (_, number) => `bot/${number}`)
  const taken = await Promise.all([a.take(names), b.take([...names].reverse()), a.take(names), b.take(names)])
  t.strictSame(
    taken
      .flat()
      .map(({ name }) => name)
      .sort(),
    [...names].sort(),
    'each was given once',
  )
  t.equal(new Set(taken.flat().map(({ fence }) => fence)).size, names.length)
  t.strictSame(await a.take(names), [])

  const [first] = a.held.length > 0 ? a.held : b.held
  const loser = a.held.length > 0 ? b : a
  await first?.release()
  t.equal(first?.signal.aborted, true)
  const [next] = await loser.take([first?.name ?? ''])
  t.ok((next?.fence ?? 0n) > (first?.fence ?? 0n))
})

for (const take of ['take', 'takeKnown'] as const) {
  t.test(
    `whoever has waited for a name gets a larger fence than whom he has waited for (${take})`,
    async (t) => {
      const { pool, owner } = await database(t)
      const [first] = await owner('first').take(['bot/1'])
      await first?.release()
      const waiting = owner('waiting')
      let taken: Promise<Lease[]> = Promise.resolve([])
      const fence = await pool.transaction({}, async (tx) => {
        await tx.query('select from leases for update')
        taken = waiting[take](['bot/1'])
        await waitUntil(async () => {
          // A transaction would see the same activity for ever.
          const { rowCount } = await pool.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
          return rowCount === 1
        })
        // As an operation of a user does.
        const { rows } = await tx.query<{ fence: string }>(
          `update leases set fence = nextval('lease_fences'), expires_at = clock_timestamp() returning fence`,
        )
        return BigInt(rows[0]?.fence ?? 0)
      })
      const [lease] = await taken
      t.ok((lease?.fence ?? 0n) > fence, `${lease?.fence} after ${fence}`)
    },
  )
}

t.test('what is known is taken, and what is gone does not come back by that', async (t) => {
  const { pool, owner } = await database(t)
  const a = owner('a')
  const [one, two] = await a.take(['bot/1', 'bot/2'])
  await a.release([one, two].filter((lease) => lease !== undefined))
  await pool.query(`delete from leases where name = 'bot/2'`)
  const taken = await owner('b').takeKnown(['bot/1', 'bot/2', 'bot/3'])
  t.strictSame(
    taken.map(({ name }) => name),
    ['bot/1'],
  )
  t.ok((taken[0]?.fence ?? 0n) > (one?.fence ?? 0n))
  t.strictSame((await pool.query('select name from leases')).rows, [{ name: 'bot/1' }])
  t.strictSame(await owner('c').takeKnown(['bot/1']), [], 'it has an owner')
})

t.test('what is renewed stays, and what is not goes to who asks next', async (t) => {
  const { owner } = await database(t)
  const clock = new HandClock()
  const paused = owner('paused', { leaseMs: 300, clock })
  const alive = owner('alive', { leaseMs: 300 })
  const [first] = await paused.take(['odds/chess'])
  await alive.take(['odds/golf'])
  const kept = alive.held[0]
  await waitUntil(async () => (await alive.take(['odds/chess'])).length > 0)
  t.equal(
    alive.held.find(({ name }) => name === 'odds/golf'),
    kept,
    'after many times its time',
  )
  t.equal(kept?.signal.aborted, false)
  t.equal(first?.signal.aborted, false, 'whoever was paused does not know it yet')
  await clock.advance(100)
  await waitUntil(() => first?.signal.aborted === true)
  t.match(first?.signal.reason, { code: 'HOLDFAST_ERR_API_LEASE_LOST', message: /somebody else/ })
  t.strictSame(paused.held, [])
})

t.test('whoever was paused writes nothing late, and nobody takes over below a write', async (t) => {
  const { pool, owner } = await database(t)
  const paused = owner('paused', { leaseMs: 200, clock: new HandClock() })
  const other = owner('other')
  const [lease] = await paused.take(['bot/1'])
  let inside = true
  const write = pool.transaction({}, async (tx) => {
    await lease?.hold(tx)
    // Longer than the lease.
    await sleep(400)
    inside = false
  })
  await waitUntil(async () => (await other.take(['bot/1'])).length > 0)
  t.equal(inside, false, 'only then it was given to another')
  await write
  await t.rejects(
    pool.transaction({}, async (tx) => lease?.hold(tx)),
    { code: 'HOLDFAST_ERR_API_LEASE_LOST' },
  )
})

t.test(
  'of many at once, those that are still held are told, and nobody takes these before the commit',
  async (t) => {
    const { pool, owner } = await database(t)
    const mine = owner('mine')
    const other = owner('other')
    const taken = await mine.take(['bot/3', 'bot/1', 'bot/2', 'bot/4'])
    const [lost] = taken.filter(({ name }) => name === 'bot/2')
    const gone = taken.filter(({ name }) => name === 'bot/4')
    // As an operation of its user ends one, and the end of a bot takes one away.
    await pool.query(
      `update leases set fence = nextval('lease_fences'), expires_at = now() where name = 'bot/2'`,
    )
    await pool.query(`delete from leases where name = 'bot/4'`)
    let inside = true
    const write = pool.transaction({}, async (tx) => {
      const held = await mine.holdAll(tx, taken)
      t.strictSame(held.map(({ name }) => name).sort(), ['bot/1', 'bot/3'])
      await tx.query(`select from leases where kind = 'bot'`)
      await sleep(300)
      inside = false
    })
    await waitUntil(() => lost?.signal.aborted === true)
    t.ok(gone.every(({ signal }) => signal.aborted))
    await pool.query(`update leases set expires_at = now() where kind = 'bot'`)
    t.equal(inside, false, 'whoever ends a lease has waited')
    await write
    t.equal((await other.take(['bot/1', 'bot/2', 'bot/3'])).length, 3)
    t.strictSame(await pool.transaction({}, (tx) => mine.holdAll(tx, taken)), [])
    t.strictSame(mine.held, [])
    t.strictSame(await pool.transaction({}, (tx) => mine.holdAll(tx, [])), [])
  },
)

t.test('those who hold many in another order never wait for each other', async (t) => {
  const { pool, owner } = await database(t)
  const mine = owner('mine', { leaseMs: 6000 })
  const taken = await mine.take(Array.from({ length: 50 }, (_, number) => `bot/${number}`))
  const ends = async () => {
    const { rows } = await pool.query<{ at: Date }>('select max(expires_at) as at from leases')
    return Number(rows[0]?.at)
  }
  let [last, renewals] = [await ends(), 0]
  // Among them the statement that renews all.
  while (renewals < 2) {
    await Promise.all(
      Array.from({ length: 40 }, (_, turn) =>
        pool.transaction({ criticality: 'critical' }, (tx) =>
          mine.holdAll(tx, turn % 2 === 0 ? taken : taken.toReversed()),
        ),
      ),
    )
    const now = await ends()
    if (now > last) renewals += 1
    last = now
  }
  t.equal(mine.held.length, 50)
})

t.test('without the database everything is over in time, and comes back with it', async (t) => {
  const { url, pool } = await database(t)
  const away = new PoolGuard({ connectionString: url, max: 1, min: 0, connectTimeoutMs: 200 })
  const clock = new HandClock()
  const leases = new Leases({ pool: away, owner: 'a', leaseMs: 900, clock })
  const [lease] = await leases.take(['bot/1'])
  await away.close()
  await clock.advance(300)
  await clock.advance(300)
  t.equal(lease?.signal.aborted, false)
  await clock.advance(300)
  t.match(lease?.signal.reason, { message: /not renewed in time/ })
  await leases.close()
  const back = new Leases({ pool, owner: 'a' })
  t.teardown(() => back.close())
  await waitUntil(async () => (await back.take(['bot/1'])).length > 0)
})

t.test('whoever ends gives everything back at once', async (t) => {
  const { owner } = await database(t)
  const a = owner('a', { leaseMs: 3_600_000 })
  await a.take(['x', 'y'])
  await a.close()
  t.strictSame(await a.take(['z']), [], 'and takes nothing any more')
  t.equal((await owner('b').take(['x', 'y', 'z'])).length, 3)
})

t.test(`a process owns ${MAX_LEASES} at most`, async (t) => {
  const { owner } = await database(t)
  const a = owner('a')
  const names = Array.from({ length: MAX_LEASES + 1 }, (_, number) => `bot/${number}`)
  t.equal((await a.take(names)).length, MAX_LEASES)
  t.equal((await a.take(names)).length, 0)
})

t.test('where there is no room for others, leases are renewed and given back all the same', async (t) => {
  const { url, owner } = await database(t)
  const pool = new PoolGuard({ connectionString: url, max: 2, min: 0, reserve: 0.5 })
  t.teardown(() => pool.close())
  const clock = new HandClock()
  const leases = new Leases({ pool, owner: 'a', leaseMs: 600_000, clock })
  const [lease] = await leases.take(['bot/1'])
  const reader = await pool.acquire()
  const untilMs = lease?.untilMs ?? 0
  await clock.advance(200_000)
  await waitUntil(() => (lease?.untilMs ?? 0) > untilMs)
  await leases.close()
  t.equal((await owner('b').take(['bot/1'])).length, 1)
  reader.release()
})
