// How the database finds bets, entries, events and odds, and what is to be settled, among 100,000 of each: by the
// statements of the service.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { MAX_BIGINT } from '../src/db/bigint.ts'
import { BalanceRepository } from '../src/routes/balance/balance-repository.ts'
import { BetRepository } from '../src/routes/bets/bet-repository.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { bettingDatabase, newEvent, orderOf } from './betting.ts'
import { statementPlans } from './statement-plans.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const { url, users } = await bettingDatabase(t, postgres.directUrl, { users: 499 })
const { pool, db, recorded, plansOf } = statementPlans(t, url)
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
// Users who bet on nothing, and events that nobody bets on, with odds.
await pool.query(`insert into tenants (slug, name, opening_balance_minor) values ('many', 'Many', 0)`)
await pool.query(
  `insert into users (tenant_id, email) select tenants.id, 'plan-' || n || '@many.example'
   from tenants, generate_series(1, 100000) as n where slug = 'many'`,
)
await pool.query(
  `insert into sport_events (sport, provider_ref, name, starts_at)
   select 'football', 'plan-' || n, 'A - B', now() + n * interval '1 second' from generate_series(1, 100000) as n`,
)
await pool.query(
  `insert into odds (event_id, market, selection, odds_milli, provider_version)
   select id, 'winner', 'home', 1850, 1 from sport_events where sport = 'football'`,
)
await pool.query('vacuum analyze')

const bets = new BetRepository(recorded, db)
const balances = new BalanceRepository(db)
const NO_SCAN = /Seq Scan on (bets|ledger_entries|sport_events|odds|balances|users)/
const page = { userId, before: 50_000n, limit: 21 }

t.test('a page of bets is read backwards from its cursor', async (t) => {
  const [plan = ''] = await plansOf(() => bets.bets({ ...page, status: undefined }))
  t.match(plan, /Index Scan Backward using bets_by_user on bets/, plan)
  t.notMatch(plan, NO_SCAN, plan)
  t.notMatch(plan, /Sort/, plan)
  t.equal((await bets.bets({ ...page, status: undefined })).length, 21)
})

t.test('so is a page of those of one status, however few of them there are', async (t) => {
  for (const status of ['void', 'open', 'won'] as const) {
    const [plan = ''] = await plansOf(() => bets.bets({ userId, before: MAX_BIGINT, limit: 21, status }))
    // Of a few it reads all and sorts them.
    t.match(plan, /Scan (Backward using|on) bets_by_user_and_status/, plan)
    t.notMatch(plan, NO_SCAN, plan)
  }
})

t.test(
  'a bet is placed by keys alone: of its event, its odds, its user and what its client calls it',
  async (t) => {
    const placing = await plansOf(() => bets.place(orderOf({ userId, eventId, stakeMinor: 10 })))
    t.equal(placing.length, 3, placing.join('\n\n'))
    const [event = '', write = '', stake = ''] = placing
    t.match(event, /Index Scan using sport_events_pkey on sport_events/, event)
    t.match(write, /Index Scan using odds_pkey on odds/, write)
    t.match(write, /Conflict Arbiter Indexes: bets_user_id_idempotency_key_key/, write)
    t.match(stake, /Index Scan using balances_pkey on balances/, stake)
    const repeat = await plansOf(() =>
      bets.place({ ...orderOf({ userId, eventId, stakeMinor: 10, idempotencyKey: 'plan-49900' }) }),
    )
    const found = repeat.find((plan) => plan.includes('ledger_entries')) ?? ''
    t.match(found, /using bets_user_id_idempotency_key_key on bets/, found)
    t.match(found, /using ledger_entries_bet_id_kind_key on ledger_entries/, found)
    for (const plan of [event, write, found]) t.notMatch(plan, /Sort|Seq Scan on/, plan)
  },
)

t.test('entries are read backwards from their cursor, and a balance by its user', async (t) => {
  const [entries = '', balance = ''] = await plansOf(async () => {
    await balances.entries(userId, 50_000n, 21)
    await balances.balance(userId)
  })
  t.match(entries, /Index Scan Backward using ledger_entries_by_user on ledger_entries/, entries)
  t.notMatch(entries, /Sort|Seq Scan on ledger_entries/, entries)
  t.match(balance, /Index Scan using balances_pkey on balances/, balance)
})

t.test('open stakes are read from what is open, not from all bets', async (t) => {
  const [plan = ''] = await plansOf(() => bets.openStakes())
  t.match(plan, /(Index|Bitmap Heap) Scan (using open_bets_by_event )?on bets/, plan)
  t.notMatch(plan, /Seq Scan on bets/, plan)
})

t.test(
  'what a settlement takes next is found in the order in which it was placed, and paid by keys',
  async (t) => {
    await pool.query(
      `update sport_events set status = 'finished', result = '{"winner": "home"}' where id = $1`,
      [eventId],
    )
    const settlement = new Settlement(recorded, { tell: async () => {} })
    const [event = '', open = '', settle = ''] = await plansOf(() =>
      settlement.settleNext({ eventId, limit: 50 }).then((part) => t.equal(part.bets.won, 50)),
    )
    t.match(event, /Index Scan using sport_events_pkey on sport_events/, event)
    t.match(open, /Index Scan using open_bets_by_event on bets/, open)
    t.notMatch(open, NO_SCAN, open)
    t.match(settle, /Index Scan using bets_pkey on bets/, settle)
    t.notMatch(settle, /Seq Scan on (bets|ledger_entries|sport_events)/, settle)
  },
)
