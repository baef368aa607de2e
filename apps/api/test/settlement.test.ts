// Settlement on a real database: every bet once, whoever does it, however often, and whatever ends in between.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import {
  anotherProcess,
  bettingDatabase,
  endEvent,
  moneyAstray,
  newEvent,
  orderOf,
  tellingTable,
} from './betting.ts'
import { childEnvironment } from './child-environment.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

async function setUp(t: Test, options: { readonly users?: number; readonly connections?: number } = {}) {
  const made = await bettingDatabase(t, postgres.directUrl, options)
  const { pool } = made
  const settlement = new Settlement(pool, await tellingTable(pool))
  /** Many bets of all users, past the front door: half of them at home. */
  const manyBets = (eventId: string, count: number) =>
    pool.query(
      `with given as (
         select n, (array(select id from users order by id))[n % (select count(*) from users)::int + 1] as user_id
         from generate_series(1, $2::int) as n
       ), placed as (
         insert into bets (user_id, event_id, market, selection, stake_minor, odds_milli, idempotency_key, request_digest)
         select user_id, $1::bigint, 'winner', case when n % 2 = 0 then 'home' else 'away' end, 10, 1850,
           ($1::bigint)::text || '-' || n, sha256('')
         from given order by n returning id, user_id, stake_minor
       )
       insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id)
       select user_id, 'stake', -stake_minor, 0, id from placed order by user_id, id`,
      [eventId, count],
    )
  const statuses = async (eventId: string) =>
    Object.fromEntries(
      (
        await pool.query(
          'select status, count(*)::int as bets from bets where event_id = $1 group by 1 order by 1',
          [eventId],
        )
      ).rows.map(({ status, bets }) => [status, bets]),
    )
  return { ...made, settlement, manyBets, statuses }
}

t.test('bets are won, lost or given back, and their users are told, in one step', async (t) => {
  const { pool, bets, users, settlement } = await setUp(t)
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  for (const [market, selection] of [
    ['winner', 'home'],
    ['winner', 'away'],
    ['goals', 'over_2'],
  ] as const) {
    await bets.place(orderOf({ userId, eventId, market, selection, stakeMinor: 999 }))
  }
  await endEvent(pool, eventId, { winner: 'home' })
  t.strictSame(await settlement.settleNext({ eventId, limit: 10 }), {
    isOver: true,
    bets: { won: 1, lost: 1, void: 1 },
    more: false,
  })
  const { rows } = await pool.query(
    'select status, payout_minor, settled_at is not null as at from bets order by id',
  )
  t.strictSame(rows, [
    { status: 'won', payout_minor: '1848', at: true },
    { status: 'lost', payout_minor: '0', at: true },
    { status: 'void', payout_minor: '999', at: true },
  ])
  t.strictSame(
    (
      await pool.query(
        'select kind, amount_minor, balance_after_minor from ledger_entries order by id offset 4',
      )
    ).rows,
    [
      { kind: 'payout', amount_minor: '1848', balance_after_minor: '98851' },
      { kind: 'refund', amount_minor: '999', balance_after_minor: '99850' },
    ],
  )
  const told = (await pool.query('select user_id, kind, payload from told')).rows
  t.match(told, [{ user_id: userId, kind: 'bets.settled' }], 'one word about all three')
  t.match(told[0]?.['payload'], {
    event_id: eventId,
    currency: 'EUR',
    bets: [{ status: 'won', payout_minor: 1848 }, { status: 'lost' }, { status: 'void', payout_minor: 999 }],
  })
  t.strictSame(await moneyAstray(pool), [])
})

t.test('a void event gives every stake back', async (t) => {
  const { pool, users, settlement, manyBets, statuses } = await setUp(t, { users: 3 })
  const eventId = await newEvent(pool)
  await manyBets(eventId, 30)
  await endEvent(pool, eventId, undefined)
  await settlement.settleNext({ eventId, limit: 100 })
  t.strictSame(await statuses(eventId), { void: 30 })
  t.match(
    (await pool.query('select balance_minor from balances')).rows,
    users.map(() => ({ balance_minor: '100000' })),
  )
  t.strictSame(await moneyAstray(pool), [])
})

t.test('nothing is settled before the event is over, and an event that there is not is said', async (t) => {
  const { pool, settlement, manyBets, statuses } = await setUp(t)
  const eventId = await newEvent(pool)
  await manyBets(eventId, 5)
  const nothing = { isOver: false, bets: { won: 0, lost: 0, void: 0 }, more: false }
  t.strictSame(await settlement.settleNext({ eventId, limit: 10 }), nothing)
  await pool.query(`update sport_events set status = 'live'`)
  t.strictSame(await settlement.settleNext({ eventId, limit: 10 }), nothing)
  t.strictSame(await statuses(eventId), { open: 5 })
  await t.rejects(settlement.settleNext({ eventId: '999', limit: 10 }), {
    code: 'HOLDFAST_ERR_API_SETTLE_EVENT_UNKNOWN',
  })
})

t.test('parts are as large as they may be, in the order in which the bets were placed', async (t) => {
  const { pool, settlement, manyBets } = await setUp(t, { users: 4 })
  const eventId = await newEvent(pool)
  await manyBets(eventId, 25)
  await endEvent(pool, eventId, { winner: 'home' })
  const sizes: number[] = []
  for (let more = true; more; ) {
    const part = await settlement.settleNext({ eventId, limit: 10 })
    more = part.more
    sizes.push(part.bets.won + part.bets.lost)
    const { rows } = await pool.query(
      `select max(id) filter (where status <> 'open') < min(id) filter (where status = 'open') as ordered from bets`,
    )
    t.not(rows[0]?.['ordered'], false)
  }
  t.strictSame(sizes, [10, 10, 5])
  const part = await settlement.settleNext({ eventId, limit: 10 })
  t.strictSame(part, { isOver: true, bets: { won: 0, lost: 0, void: 0 }, more: false }, 'and nothing again')
  t.strictSame(await moneyAstray(pool), [])
})

t.test('what fails in the middle of a part takes all of it back', async (t) => {
  const { pool, manyBets, statuses, settlement } = await setUp(t, { users: 3 })
  const eventId = await newEvent(pool)
  await manyBets(eventId, 9)
  await endEvent(pool, eventId, { winner: 'home' })
  let told = 0
  const failing = new Settlement(pool, {
    tell: async () => {
      told += 1
      if (told === 2) throw new Error('nobody can be told')
    },
  })
  await t.rejects(failing.settleNext({ eventId, limit: 10 }), { message: 'nobody can be told' })
  const rest = new Error('there is no queue')
  const leaveRest = () => Promise.reject(rest)
  await t.rejects(settlement.settleNext({ eventId, limit: 4, leaveRest }), rest)
  t.strictSame(await statuses(eventId), { open: 9 })
  t.equal((await pool.query(`select from ledger_entries where kind in ('payout', 'refund')`)).rowCount, 0)
  t.equal((await pool.query('select from told')).rowCount, 0)
  await settlement.settleNext({ eventId, limit: 10 })
  t.strictSame(await moneyAstray(pool), [])
})

t.test('of several that settle the same and others at once, every bet is paid once', async (t) => {
  const { url, pool, settlement, manyBets, statuses } = await setUp(t, { users: 7, connections: 8 })
  const other = anotherProcess(t, url)
  const second = new Settlement(other.pool, { tell: async () => {} })
  const events = await Promise.all([newEvent(pool), newEvent(pool), newEvent(pool)])
  for (const eventId of events) {
    await manyBets(eventId, 101)
    await endEvent(pool, eventId, { winner: 'away' })
  }
  const all = async (by: Settlement, eventId: string) => {
    for (let more = true; more; ) ({ more } = await by.settleNext({ eventId, limit: 7 }))
  }
  await Promise.all(
    events.flatMap((eventId) => [settlement, second, settlement].map((by) => all(by, eventId))),
  )
  for (const eventId of events) t.strictSame(await statuses(eventId), { lost: 50, won: 51 })
  t.equal((await pool.query(`select from ledger_entries where kind = 'payout'`)).rowCount, 153)
  t.strictSame(await moneyAstray(pool), [])
})

t.test('a bet that is placed while its event ends is settled, or was never placed', async (t) => {
  const { pool, bets, users, settlement } = await setUp(t, { users: 4, connections: 16 })
  for (let round = 0; round < 15; round += 1) {
    const eventId = await newEvent(pool)
    const placing = Array.from({ length: 12 }, (_, at) =>
      bets.place(orderOf({ userId: users[at % users.length] ?? '', eventId, stakeMinor: 5 })).then(
        () => 1,
        (error: { code?: string }) => {
          if (error.code !== 'HOLDFAST_ERR_API_EVENT_CLOSED') throw error
          return 0
        },
      ),
    )
    for (let turns = round; turns > 0; turns -= 1) await new Promise((turn) => setImmediate(turn))
    await endEvent(pool, eventId, { winner: 'home' })
    // At once, as its job would.
    const { bets: settled } = await settlement.settleNext({ eventId, limit: 100 })
    const placed = (await Promise.all(placing)).reduce<number>((sum, one) => sum + one, 0)
    t.equal(settled.won, placed, `round ${round}`)
  }
  t.strictSame(await moneyAstray(pool), [])
})

t.test('whoever is killed between two parts, or in one, leaves nothing half', async (t) => {
  const { url, pool, manyBets, statuses } = await setUp(t, { users: 5 })
  const eventId = await newEvent(pool)
  await manyBets(eventId, 2000)
  await endEvent(pool, eventId, { winner: 'home' })
  const settledBets = async () => 2000 - ((await statuses(eventId))['open'] ?? 0)
  let kills = 0
  for (let done = false; !done; ) {
    const before = await settledBets()
    const child = spawn(
      process.execPath,
      ['--conditions=@holdfast/source', new URL('./settle-until-killed.ts', import.meta.url).pathname],
      {
        env: { ...childEnvironment(), DATABASE_URL: url, EVENT_ID: eventId },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const ended = once(child, 'close')
    t.teardown(() => child.kill('SIGKILL'))
    child.stdout.resume()
    await Promise.race([
      ended,
      waitUntil(async () => child.exitCode !== null || (await settledBets()) >= before + 300, {
        timeoutMs: 60_000,
        what: 'bets to be settled',
      }),
    ])
    done = child.exitCode === 0
    if (done) break
    child.kill('SIGKILL')
    kills += 1
    const [code, signal] = (await ended) as [number | null, string | null]
    t.ok(signal === 'SIGKILL' || code === 0, `${code} ${signal}`)
    done = code === 0
  }
  t.comment(`${kills} kills`)
  t.ok(kills >= 3, `${kills} kills`)
  t.strictSame(await statuses(eventId), { lost: 1000, won: 1000 })
  t.strictSame(await moneyAstray(pool), [])
  const { rows } = await pool.query(
    `select count(*)::int as bets from (select jsonb_array_elements(payload -> 'bets') ->> 'bet_id' as id from told) as told`,
  )
  t.strictSame(rows, [{ bets: 2000 }], 'everybody was told of every bet once')
})
