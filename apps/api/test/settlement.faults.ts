// A process that settles is told to end, killed, or frozen for longer than its heartbeat, while it is in the middle of an
// event and holds it. Another one takes over: every bet is paid once, and whoever wakes up late writes nothing.

import { once } from 'node:events'
import { Logs } from '@holdfast/logging'
import { startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { bettingDatabase, endEvent, moneyAstray, newEvent, orderOf } from './betting.ts'
import { bothWays } from './both-ways.ts'
import { testPool } from './fresh-database.ts'
import { startSettler } from './settlers.ts'

t.setTimeout(600_000)

const BETS = 80

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const bouncer = await startPgBouncer({ target: postgres })
t.teardown(() => bouncer.stop())

const WAYS = bothWays(bouncer)

async function setUp(t: Test, way: (url: string) => string) {
  const { url, pool, bets, users } = await bettingDatabase(t, postgres.directUrl, { users: 4 })
  await pool.query('create table told (bet_id bigint not null)')
  await pool.query(`update jobs.queue set heartbeat_seconds = 2 where name = 'settle'`)
  const logs = new Logs<FastifyRequest>({ destination: { write() {} } })
  const queue = new BossQueue({ pool, correlation: logs, log: logs.logger })
  t.teardown(() => queue.close())
  const eventWithBets = async (count: number) => {
    const eventId = await newEvent(pool)
    for (let at = 0; at < count; at += 1) {
      const userId = users[at % users.length] ?? ''
      await bets.place(orderOf({ userId, eventId, stakeMinor: 10 }))
    }
    return eventId
  }
  const end = (eventId: string) =>
    pool.transaction({}, async (tx) => {
      await endEvent(tx, eventId, { winner: 'home' })
      await queue.enqueue(tx, 'settle', { event_id: eventId, provider_version: '1' }, { key: eventId })
    })
  const count = async (text: string) =>
    Number((await pool.query(`select count(*) as count from ${text}`)).rows[0]?.['count'])
  const settled = () => count(`bets where status <> 'open'`)
  const start = () => startSettler(t, way(url))
  /** Until `release`, nobody settles this event: whoever is at it waits in the middle of a transaction. */
  const hold = async (eventId: string) => {
    const sql = testPool(url, 1)
    t.teardown(() => sql.end())
    const client = await sql.connect()
    await client.query('begin')
    await client.query('select from sport_events where id = $1 for update', [eventId])
    return async () => {
      await client.query('commit')
      client.release()
    }
  }
  /** How many wait for that lock. */
  const waiting = () =>
    count(
      `pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%for no key update%'`,
    )
  const isPaidOnce = async (t: Test, bets: number) => {
    await waitUntil(async () => (await settled()) === bets, {
      timeoutMs: 60_000,
      what: 'all bets to be settled',
    })
    await waitUntil(
      async () => (await count(`jobs.job_common where name = 'settle' and state <> 'completed'`)) === 0,
      { timeoutMs: 60_000, what: 'no job to be left' },
    )
    t.strictSame(await moneyAstray(pool), [])
    t.equal(await count(`ledger_entries where kind = 'payout'`), bets)
    t.equal(await count('told'), bets, 'everybody was told of every bet once')
    t.equal(await count(`jobs.job_common where name = 'settle.dead'`), 0)
  }
  return { pool, eventWithBets, end, count, settled, start, hold, waiting, isPaidOnce }
}

for (const [name, way] of Object.entries(WAYS)) {
  t.test(
    `${name}: a process that is told to end ends its part, and leaves the rest as the same try`,
    async (t) => {
      const { eventWithBets, end, count, settled, start, hold, waiting, isPaidOnce } = await setUp(t, way)
      const eventId = await eventWithBets(BETS)
      const ending = start()
      await end(eventId)
      await waitUntil(async () => (await settled()) > 0, { timeoutMs: 60_000, intervalMs: 1 })
      const release = await hold(eventId)
      await waitUntil(async () => (await waiting()) > 0, { what: 'it to be in the middle' })
      const ended = once(ending, 'exit')
      ending.kill('SIGTERM')
      await release()
      t.strictSame(await ended, [0, null])
      t.equal(await count(`jobs.job_common where name = 'settle' and state = 'active'`), 0)
      t.equal(
        await count(`jobs.job_common where name = 'settle' and retry_count > 0`),
        0,
        'no try is used up',
      )
      t.ok((await settled()) < BETS, 'and there is a rest')
      start()
      await isPaidOnce(t, BETS)
    },
  )

  t.test(`${name}: what was killed in the middle is done by another after its heartbeat`, async (t) => {
    const { eventWithBets, end, settled, start, hold, waiting, isPaidOnce } = await setUp(t, way)
    const eventId = await eventWithBets(BETS)
    const killed = start()
    await end(eventId)
    await waitUntil(async () => (await settled()) > 0, { timeoutMs: 60_000, intervalMs: 1 })
    const release = await hold(eventId)
    await waitUntil(async () => (await waiting()) > 0, { what: 'it to be in the middle' })
    killed.kill('SIGKILL')
    await once(killed, 'exit')
    await release()
    start()
    await isPaidOnce(t, BETS)
  })

  t.test(
    `${name}: who is frozen beyond his heartbeat with an event in hand writes nothing late`,
    async (t) => {
      const { pool, eventWithBets, end, count, settled, start, hold, waiting, isPaidOnce } = await setUp(
        t,
        way,
      )
      const eventId = await eventWithBets(BETS)
      const frozen = start()
      await end(eventId)
      await waitUntil(async () => (await settled()) > 0, { timeoutMs: 60_000, intervalMs: 1 })
      const release = await hold(eventId)
      await waitUntil(async () => (await waiting()) > 0, { what: 'it to be in the middle' })
      frozen.kill('SIGSTOP')
      // Its transaction now has the event, and goes on to have it.
      await release()
      const other = start()
      await isPaidOnce(t, BETS)
      t.ok(
        (await count(`jobs.job_common where name = 'settle' and retry_count > 0`)) > 0,
        'it was taken over',
      )
      const ledger = async () =>
        (await pool.query('select id, xmin::text from ledger_entries order by id')).rows
      const jobs = async () =>
        (await pool.query('select id, xmin::text from jobs.job_common order by id')).rows
      const [paid, done] = [await ledger(), await jobs()]

      const exited = once(other, 'exit')
      other.kill('SIGTERM')
      await exited
      frozen.kill('SIGCONT')
      // It has woken up, and has noticed: it does what comes next.
      const next = await eventWithBets(3)
      await end(next)
      await isPaidOnce(t, BETS + 3)
      t.strictSame((await ledger()).slice(0, paid.length), paid, 'and has written to nothing that was done')
      const after = new Map((await jobs()).map(({ id, xmin }) => [id, xmin]))
      t.ok(
        done.every(({ id, xmin }) => after.get(id) === xmin),
        'nor to any job of then',
      )
      t.equal(frozen.exitCode, null)
    },
  )
}
