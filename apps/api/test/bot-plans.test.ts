// How the database finds bots, their events, their trades and their leases among 100,000 of each: the statements are
// those that the service sends.

import { startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { MAX_BIGINT } from '../src/db/bigint.ts'
import { Leases } from '../src/db/leases.ts'
import { NewBotRepository } from '../src/routes/bots/new-bot-repository.ts'
import { TradeRepository } from '../src/routes/trades/trade-repository.ts'
import { BotAdoption } from '../src/workers/bots/adoption.ts'
import { BotLeases } from '../src/workers/bots/bot-leases.ts'
import { TradeStore } from '../src/workers/bots/trade-store.ts'
import { demoDatabase } from './fresh-database.ts'
import { statementPlans } from './statement-plans.ts'
import { tellInTable } from './trading-floor.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const url = await demoDatabase(postgres.directUrl)
const { pool, db, recorded, plansOf } = statementPlans(t, url)
const leases = new Leases({ pool: recorded, owner: 'plans' })
const adoption = new BotAdoption(recorded, leases, tellInTable)
const botLeases = new BotLeases(recorded)
const store = new TradeStore(recorded, leases)
const lists = new NewBotRepository(recorded, db)
const trades = new TradeRepository(db)

// A hundred bots belong to each of 1,000 users, a tenth runs, and one in a hundred of these waits for somebody.
await pool.query(
  `insert into users (tenant_id, email) select 1, 'plan-' || n || '@acme.example' from generate_series(1, 1000) as n`,
)
const { rows: users } = await pool.query<{ id: string }>(
  `select id from users where email like 'plan-%' order by id`,
)
const userId = users[0]?.id ?? ''
await pool.query(
  `insert into bots (user_id, name, idempotency_key, request_digest, status)
   select $1::bigint + n % 1000, 'Bot ' || n, 'plan-' || n, sha256(''), case when n % 10 = 0 then 'running' else 'stopped' end
   from generate_series(1, 100000) as n`,
  [userId],
)
await pool.query(
  `update leases set expires_at = now() + interval '1 hour' where kind = 'bot' and fence % 100 <> 0`,
)
await pool.query(
  `insert into leases (name, owner, fence, expires_at)
   select 'odds/' || n, 'other', nextval('lease_fences'), now() - interval '1 hour' from generate_series(1, 90000) as n`,
)
await pool.query(
  `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
   select bots.id, user_id, 'started', 'stopped', 'running', bots.id * 1000 + n, now()
   from (select * from bots order by id limit 1100) as bots, generate_series(1, 100) as n`,
)
await pool.query(
  `insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
   select bots.id, user_id, n, 'buy', 'HFX', 1, 1, 1
   from (select * from bots order by id limit 1100) as bots, generate_series(1, 100) as n order by n`,
)
const { rows: some } = await pool.query<{ id: string }>(
  'select id from bots where user_id = $1 order by id limit 1',
  [userId],
)
const botId = BigInt(some[0]?.id ?? 0)
await pool.query('vacuum analyze')

const page = { userId, before: MAX_BIGINT, limit: 21 }

t.test('a page of bots is read from its cursor on', async (t) => {
  const [plan = ''] = await plansOf(() => lists.bots({ userId, after: 50_000n, limit: 21 }))
  t.match(plan, /Index Scan using bots_by_user on bots/, plan)
  t.notMatch(plan, /Sort|Seq Scan on bots/, plan)
})

t.test('the events of a bot are read backwards from their cursor', async (t) => {
  const [plan = ''] = await plansOf(() => lists.events({ ...page, botId }))
  t.match(plan, /Index Scan Backward using bot_events_by_bot on bot_events/, plan)
  t.notMatch(plan, /Seq Scan on (bots|bot_events)/, plan)
})

t.test('trades are read backwards from their cursor, of a user and of a bot', async (t) => {
  const [all = ''] = await plansOf(() => trades.trades({ ...page, botId: undefined }))
  t.match(all, /Index Scan Backward using trades_by_user on trades/, all)
  t.notMatch(all, /Sort|Seq Scan on trades/, all)
  const [one = ''] = await plansOf(() => trades.trades({ ...page, botId }))
  t.match(one, /Index Scan Backward using trades_by_bot on trades/, one)
  t.notMatch(one, /Sort|Seq Scan on (trades|bots)/, one)
  t.equal((await trades.trades({ ...page, botId })).length, 21)
})

t.test('what a key has made is found by the key, and the bots of a user by him', async (t) => {
  const wish = {
    userId,
    name: 'New',
    symbol: 'HFX',
    strategy: 'hold()',
    idempotencyKey: 'another',
    digest: Buffer.alloc(32),
  } as const
  const plans = await plansOf(() => lists.create(wish).catch(() => {}))
  const found = plans.join('\n')
  t.match(found, /using bots_user_id_idempotency_key_key on bots/, found)
  t.match(found, /Index Only Scan using (bots_by_user|bots_user_id_idempotency_key_key) on bots/, found)
  t.notMatch(found, /Seq Scan on (bots|users)/, found)
})

t.test('bots that nobody runs are found by their leases', async (t) => {
  const [plan = ''] = await plansOf(() => botLeases.free(1000))
  t.match(plan, /Index Scan using leases_by_kind on leases/, plan)
  t.notMatch(plan, /Sort|Seq Scan/, plan)
  t.equal((await botLeases.free(1000)).length, 100)
})

t.test('bots are counted without a look at the leases of others', async (t) => {
  const [plan = ''] = await plansOf(() => botLeases.census(15_000))
  t.match(plan, /using leases_by_kind on leases|Bitmap Index Scan on leases_by_kind/, plan)
  t.match(await botLeases.census(15_000), { running: 10_000, processes: 0 })
})

t.test('taking over, looking and saving go by the keys of what they are about', async (t) => {
  const taken = await leases.take((await botLeases.free(5)).map(({ name }) => name))
  t.equal(taken.length, 5)
  const adopted: Awaited<ReturnType<typeof adoption.adopt>>[] = []
  const plans = [
    ...(await plansOf(async () => adopted.push(await adoption.adopt(taken, new Map(), 'plans')))),
    ...(await plansOf(() => store.positions(adopted[0]?.bots ?? []))),
    ...(await plansOf(() =>
      store.save(
        1000,
        (adopted[0]?.bots ?? []).flatMap((bot) =>
          bot.at === undefined
            ? []
            : [
                {
                  bot,
                  before: bot.at,
                  order: { side: 'buy', quantity: 1, priceMinor: 5, isCut: false } as const,
                  after: { cash: bot.at.cash - 5, position: 1 },
                },
              ],
        ),
      ),
    )),
  ]
  const all = plans.join('\n')
  t.equal(adopted[0]?.bots.length, 5)
  t.match(all, /bots_pkey/, all)
  t.match(all, /leases_pkey/, all)
  t.notMatch(all, /Seq Scan on (bots|leases|trades|users)/, all)
  t.equal((await pool.query('select from trades where tick = 1000')).rowCount, 5)
})
