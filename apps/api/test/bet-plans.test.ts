// How the database finds bets, entries and what is to be settled among 100,000 of them.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { bettingDatabase, newEvent } from './betting.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const { pool, users } = await bettingDatabase(t, postgres.directUrl, { users: 499 })
const [userId = ''] = users
const eventId = await newEvent(pool)
for (let others = 1; others < 11; others += 1) await newEvent(pool, { odds: {} })
// Users, events and what is open follow different primes: nothing of it goes together.
await pool.query(
  `insert into bets (user_id, event_id, market, selection, stake_minor, odds_milli, idempotency_key, request_digest,
     status, payout_minor, settled_at)
   select $1::bigint + n % 499, $2::bigint + n % 11, 'winner', 'home', 10, 1850, 'plan-' || n, sha256(''),
     case when open then 'open' when n % 997 = 3 then 'void' else 'lost' end,
     case when not open then 0 end, case when not open then now() end
   from (select n, n % 20 = 0 as open from generate_series(1, 100000) as n) as numbered`,
  [userId, eventId],
)
// Past the trigger, which would move balances: only for plans.
await pool.query('alter table ledger_entries disable trigger user')
await pool.query(
  `insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id)
   select user_id, 'stake', -stake_minor, 0, id from bets`,
)
await pool.query('alter table ledger_entries enable trigger user')
await pool.query('analyze')

async function planOf(sql: string, parameters: readonly unknown[]): Promise<string> {
  const { rows } = await pool.query(
    `explain (analyze, buffers off, timing off, summary off) ${sql}`,
    parameters,
  )
  return rows.map((row) => row['QUERY PLAN']).join('\n')
}

const PAGES = `from bets join balances on balances.user_id = bets.user_id where bets.user_id = $1 and bets.id < $2`

t.test('a page of bets is read backwards from its cursor', async (t) => {
  const plan = await planOf(`select bets.id, stake_minor, currency ${PAGES} order by bets.id desc limit 21`, [
    userId,
    '50000',
  ])
  t.match(plan, /Index Scan Backward using bets_by_user on bets/, plan)
  t.match(plan, /rows=21/)
  t.notMatch(plan, /Sort|Seq Scan on bets/)
})

t.test('so is a page of those of one status, however few of them there are', async (t) => {
  for (const status of ['void', 'open', 'won']) {
    const plan = await planOf(
      `select bets.id, stake_minor, currency ${PAGES} and bets.status = $3 order by bets.id desc limit 21`,
      [userId, '9223372036854775807', status],
    )
    // Of a few it reads all and sorts them.
    t.match(plan, /Scan (Backward using|on) bets_by_user_and_status/, plan)
    t.notMatch(plan, /Seq Scan on bets|Rows Removed by Filter/, plan)
  }
})

t.test('what a key has made is found by the key', async (t) => {
  const plan = await planOf(
    `select bets.id, balance_after_minor from bets
     join ledger_entries on ledger_entries.bet_id = bets.id and ledger_entries.kind = 'stake'
     join balances on balances.user_id = bets.user_id
     where bets.user_id = $1 and idempotency_key = $2`,
    [userId, 'plan-49900'],
  )
  t.match(plan, /using bets_user_id_idempotency_key_key on bets/, plan)
  t.match(plan, /using ledger_entries_bet_id_kind_key on ledger_entries/, plan)
})

t.test('what a settlement takes next is found in the order in which it was placed', async (t) => {
  const plan = await planOf(
    `select * from bets where event_id = $1 and status = 'open' order by id limit 51`,
    [eventId],
  )
  t.match(plan, /Index Scan using open_bets_by_event on bets/, plan)
  t.match(plan, /rows=51/)
  t.notMatch(plan, /Sort|Filter/, plan)
})

t.test('entries are read backwards from their cursor', async (t) => {
  const plan = await planOf(
    `select ledger_entries.id, amount_minor, currency from ledger_entries
     join balances on balances.user_id = ledger_entries.user_id
     where ledger_entries.user_id = $1 and ledger_entries.id < $2 order by ledger_entries.id desc limit 21`,
    [userId, '50000'],
  )
  t.match(plan, /Index Scan Backward using ledger_entries_by_user on ledger_entries/, plan)
  t.match(plan, /rows=21/)
  t.notMatch(plan, /Sort|Seq Scan on ledger_entries/)
})

t.test('open stakes are read from what is open, not from all bets', async (t) => {
  const plan = await planOf(
    `select currency, sum(stake_minor) from bets join balances on balances.user_id = bets.user_id
     where status = 'open' group by currency`,
    [],
  )
  t.match(plan, /(Index|Bitmap Heap) Scan (using open_bets_by_event )?on bets/, plan)
  t.notMatch(plan, /Seq Scan on bets/, plan)
})
