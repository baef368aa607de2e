// Bets on a real database: one for each key whoever brings it, nothing without its stake, and nothing on what is closed.

import { runInScope } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import { Kysely } from 'kysely'
import t from 'tap'
import type { Database } from '../src/db/database.ts'
import { BalanceRepository } from '../src/routes/balance/balance-repository.ts'
import { placedAnswer } from '../src/routes/bets/bet.ts'
import type { Placement } from '../src/routes/bets/bet-repository.ts'
import {
  anotherProcess,
  bettingDatabase,
  endEvent,
  moneyAstray,
  newEvent,
  orderOf,
  setOdds,
} from './betting.ts'
import { testPool } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(180_000)

const codeOf = (code: string, statusCode: number) => ({ code: `HOLDFAST_ERR_API_${code}`, statusCode })

t.test('a bet, its stake and the balance that is left are one', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const order = orderOf({ userId, eventId, stakeMinor: 40_000, seenOddsMilli: 1800 })
  const { bet, replayed } = await bets.place(order)
  t.match(bet, { eventId, market: 'winner', selection: 'home', stakeMinor: '40000', currency: 'EUR' })
  t.match(
    bet,
    { oddsMilli: 1850, balanceAfterMinor: '60000' },
    'at the odds in force, not at those that were seen',
  )
  t.equal(replayed, false)
  await t.rejects(
    bets.place(orderOf({ userId, eventId, stakeMinor: 60_001 })),
    codeOf('BALANCE_TOO_LOW', 409),
  )
  t.match(await bets.place(orderOf({ userId, eventId, stakeMinor: 60_000 })), {
    bet: { balanceAfterMinor: '0' },
  })
  const { rows } = await pool.query(
    'select kind, amount_minor, balance_after_minor from ledger_entries order by id',
  )
  t.strictSame(
    rows.map((row) => Object.values(row).join(' ')),
    ['opening 100000 100000', 'stake -40000 60000', 'stake -60000 0'],
  )
  t.strictSame(await moneyAstray(pool), [])
})

t.test('the same again is answered with what is stored, whatever has happened since', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const order = orderOf({ userId, eventId, seenOddsMilli: 1850 })
  const { bet } = await bets.place(order)
  const again = async (why: string) => t.strictSame(await bets.place(order), { bet, replayed: true }, why)
  await again('at once')
  await setOdds(pool, eventId, 'winner', 'home', 1200)
  await again('the odds are worse')
  await bets.place(orderOf({ userId, eventId, stakeMinor: 99_000 }))
  await again('there is no money left')
  await pool.query('delete from odds where event_id = $1', [eventId])
  await again('nothing is offered any more')
  await endEvent(pool, eventId, { winner: 'home' })
  await again('the event is over')
  await pool.query(`update bets set status = 'lost', payout_minor = 0, settled_at = now()`)
  await again('it is settled')
  const reused = codeOf('IDEMPOTENCY_KEY_REUSED', 422)
  const { idempotencyKey } = order
  await t.rejects(bets.place(orderOf({ userId, eventId, idempotencyKey, stakeMinor: 1001 })), reused)
  await t.rejects(
    bets.place(orderOf({ userId, eventId: '999', idempotencyKey })),
    reused,
    'an event that there is not',
  )
  t.equal((await pool.query('select from bets')).rowCount, 2)
  t.strictSame(await moneyAstray(pool), [])
})

t.test('what is refused leaves nothing behind, and its key may be used again', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const order = orderOf({ userId, eventId, seenOddsMilli: 2000 })
  await t.rejects(bets.place(order), codeOf('ODDS_WORSE', 409))
  await t.rejects(bets.place(orderOf({ userId, eventId: '999' })), codeOf('EVENT_UNKNOWN', 404))
  await t.rejects(
    bets.place(orderOf({ userId, eventId, market: 'corners' })),
    codeOf('SELECTION_UNKNOWN', 404),
  )
  await t.rejects(
    bets.place(orderOf({ userId, eventId, selection: 'draw' })),
    codeOf('SELECTION_UNKNOWN', 404),
  )
  const started = await newEvent(pool, { startsInSeconds: -1 })
  await t.rejects(bets.place(orderOf({ userId, eventId: started })), codeOf('EVENT_CLOSED', 409))
  for (const result of [undefined, { winner: 'home' }]) {
    const over = await newEvent(pool)
    await endEvent(pool, over, result)
    await t.rejects(bets.place(orderOf({ userId, eventId: over })), codeOf('EVENT_CLOSED', 409))
  }
  t.equal((await pool.query('select from bets')).rowCount, 0)
  t.equal((await pool.query(`select from ledger_entries where kind = 'stake'`)).rowCount, 0)
  await setOdds(pool, eventId, 'winner', 'home', 2000)
  t.match(await bets.place(order), { replayed: false, bet: { oddsMilli: 2000 } })
})

t.test('a key is its user’s: another one may use the same', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl, { users: 2 })
  const eventId = await newEvent(pool)
  const placed = await Promise.all(
    users.map((userId) => bets.place(orderOf({ userId, eventId, idempotencyKey: 'mine' }))),
  )
  t.strictSame(
    placed.map(({ replayed }) => replayed),
    [false, false],
  )
})

t.test(
  'of many that bring one key at once, in two processes, one writes and all hear of the same bet',
  async (t) => {
    const { url, pool, bets, users } = await bettingDatabase(t, postgres.directUrl, { connections: 20 })
    const other = anotherProcess(t, url, 20)
    const [userId = ''] = users
    const eventId = await newEvent(pool)
    const order = orderOf({ userId, eventId })
    const placed = await Promise.all(
      Array.from({ length: 30 }, (_, at) => (at % 2 === 0 ? bets : other.bets).place(order)),
    )
    t.equal(new Set(placed.map(({ bet }) => JSON.stringify(placedAnswer(bet)))).size, 1)
    t.equal(placed.filter(({ replayed }) => !replayed).length, 1)
    t.equal((await pool.query('select from bets')).rowCount, 1)

    const another = orderOf({ userId, eventId })
    const conflicting = {
      ...orderOf({ userId, eventId, stakeMinor: 7 }),
      idempotencyKey: another.idempotencyKey,
    }
    const settled = await Promise.allSettled(
      Array.from({ length: 20 }, (_, at) =>
        at % 2 === 0 ? bets.place(another) : other.bets.place(conflicting),
      ),
    )
    t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 10, 'whoever was first')
    for (const each of settled) {
      if (each.status === 'rejected') t.match(each.reason, codeOf('IDEMPOTENCY_KEY_REUSED', 422))
    }
    t.equal((await pool.query('select from bets')).rowCount, 2)
    t.strictSame(await moneyAstray(pool), [])
  },
)

t.test(
  'who brings a key while its bet is refused decides anew, and never on what was taken back',
  async (t) => {
    const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
    const [userId = ''] = users
    const eventId = await newEvent(pool)
    const order = orderOf({ userId, eventId, stakeMinor: 100_001 })
    const settled = await Promise.allSettled(Array.from({ length: 8 }, () => bets.place(order)))
    for (const each of settled) {
      t.match(each, { status: 'rejected', reason: codeOf('BALANCE_TOO_LOW', 409) })
    }
    t.equal((await pool.query('select from bets')).rowCount, 0)
  },
)

t.test('nobody bets more than he has, however many bets he places at once', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl, { connections: 12 })
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const settled = await Promise.allSettled(
    Array.from({ length: 12 }, () => bets.place(orderOf({ userId, eventId, stakeMinor: 15_000 }))),
  )
  t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 6)
  t.match((await pool.query('select balance_minor from balances')).rows, [{ balance_minor: '10000' }])
  t.strictSame(await moneyAstray(pool), [])
})

t.test(
  'an event that ends waits for the bets that are being placed, and those that come then are refused',
  async (t) => {
    const { url, pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
    const [userId = ''] = users
    const eventId = await newEvent(pool)
    const sql = testPool(url, 3)
    t.teardown(() => sql.end())
    // Whoever places a bet stops before the stake.
    const holder = await sql.connect()
    await holder.query('begin')
    await holder.query('lock table ledger_entries in exclusive mode')
    const placing = bets.place(orderOf({ userId, eventId }))
    const waiting = async (query: string) =>
      Number(
        (
          await sql.query(
            `select count(*)::int as n from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock' and query like $1`,
            [query],
          )
        ).rows[0]?.['n'],
      )
    await waitUntil(async () => (await waiting('with entry as%')) === 1, { what: 'the stake to wait' })
    const ending = endEvent(pool, eventId, { winner: 'home' })
    await waitUntil(async () => (await waiting('update sport_events%')) === 1, { what: 'the end to wait' })
    const late = bets.place(orderOf({ userId, eventId }))
    await holder.query('commit')
    holder.release()
    await placing
    await ending
    // It came before the end was written, or after it.
    const outcome = await late.then(
      () => 'placed',
      (error: { code?: string }) => error.code,
    )
    t.ok(['placed', 'HOLDFAST_ERR_API_EVENT_CLOSED'].includes(String(outcome)), String(outcome))
    t.equal((await pool.query('select from bets')).rowCount, outcome === 'placed' ? 2 : 1)
    await t.rejects(bets.place(orderOf({ userId, eventId })), codeOf('EVENT_CLOSED', 409))
  },
)

t.test('whoever is ended in the middle has placed all of it or nothing', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const random = seededRandom()
  random.announce(t)
  let acknowledged = 0
  for (let round = 0; round < 40; round += 1) {
    const leaving = new AbortController()
    const placing = runInScope({ signal: leaving.signal }, () =>
      bets.place(orderOf({ userId, eventId, stakeMinor: 10 })),
    ).then(
      () => {
        acknowledged += 1
      },
      () => {},
    )
    for (let turns = random.int(0, 12); turns > 0; turns -= 1) await new Promise((turn) => setImmediate(turn))
    leaving.abort()
    await placing
  }
  const stored = (await pool.query('select from bets')).rowCount ?? 0
  t.ok(stored >= acknowledged, `${stored} stored, ${acknowledged} acknowledged`)
  t.strictSame(await moneyAstray(pool), [])
})

t.test('a connection that breaks during the commit is no doubt: the key knows', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.url, { connections: 2 })
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const breakAtCommit = () => {
    const seen = new Map<number, string>()
    postgres.proxy.onClientData = (chunk, { number }) => {
      const text = (seen.get(number) ?? '') + chunk.toString('latin1')
      seen.set(number, text.slice(-4000))
      if (!text.includes('commit')) return
      postgres.proxy.onClientData = undefined
      postgres.proxy.reset()
    }
  }
  t.teardown(() => {
    postgres.proxy.onClientData = undefined
    return postgres.heal()
  })
  const placed: Placement[] = []
  for (let round = 0; round < 10; round += 1) {
    breakAtCommit()
    placed.push(await bets.place(orderOf({ userId, eventId, stakeMinor: 100 })))
  }
  t.ok(
    placed.every(({ replayed }) => !replayed),
    'the request has placed it itself',
  )
  t.equal(new Set(placed.map(({ bet }) => bet.id)).size, 10)
  t.equal((await pool.query('select from bets')).rowCount, 10)
  t.strictSame(await moneyAstray(pool), [])
})

t.test('without an answer to the second question nobody is told more than is known', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.url, { connections: 2 })
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const order = orderOf({ userId, eventId, stakeMinor: 100 })
  let seen = ''
  t.teardown(() => {
    postgres.proxy.onClientData = undefined
    return postgres.heal()
  })
  postgres.proxy.onClientData = (chunk) => {
    seen = (seen + chunk.toString('latin1')).slice(-4000)
    if (!seen.includes('commit')) return
    postgres.proxy.onClientData = undefined
    postgres.proxy.refuse()
    postgres.proxy.reset()
  }
  await t.rejects(bets.place(order), { ...codeOf('BET_OUTCOME_UNKNOWN', 503), retryAfterSeconds: 1 })
  await postgres.heal()
  await waitUntil(
    () =>
      bets.place(order).then(
        () => true,
        () => false,
      ),
    { what: 'the database to be used again' },
  )
  t.equal((await pool.query('select from bets')).rowCount, 1)
})

t.test('who was deleted after he was let in is not signed in, and that is no failure', async (t) => {
  const { pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
  const [userId = ''] = users
  const eventId = await newEvent(pool)
  const balances = new BalanceRepository(new Kysely<Database>({ dialect: guardedDialect(pool) }))
  const order = orderOf({ userId, eventId, stakeMinor: 100 })
  await bets.place(order)
  t.match(await balances.balance(userId), { balanceMinor: '99900' })
  await pool.query('delete from users where id = $1', [userId])
  await t.rejects(bets.place(order), codeOf('NOT_SIGNED_IN', 401))
  await t.rejects(balances.balance(userId), codeOf('NOT_SIGNED_IN', 401))
  t.equal((await pool.query('select from bets')).rowCount, 0)
})
