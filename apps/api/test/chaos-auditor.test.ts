// The auditor of the chaos test finds what it is there to find: each kind of damage, done to a database that is in order.

import { PoolGuard } from '@holdfast/pool-guard'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Leases } from '../src/db/leases.ts'
import { BotAdoption } from '../src/workers/bots/adoption.ts'
import { leaseName } from '../src/workers/bots/bot-leases.ts'
import { TradeStore } from '../src/workers/bots/trade-store.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { SettlementWorker } from '../src/workers/settlement/settlement-worker.ts'
import { betsOf, endEvent, newEvent, orderOf } from './betting.ts'
import { type Acknowledged, audit } from './chaos/auditor.ts'
import { jobBench } from './job-bench.ts'
import { installWitness, witnessed } from './ownership-witness.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

/** A bet that is lost and one that is won, an operation, and a bot that has changed hands. */
async function worldInOrder(t: Test) {
  const { url, queue: newQueue, logs } = await jobBench(t, postgres.directUrl)
  const pool = new PoolGuard({ connectionString: url, max: 6, min: 0 })
  t.teardown(() => pool.close())
  await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme')`)
  const { rows } = await pool.query<{ id: string }>(
    `insert into users (tenant_id, email) select id, 'a@acme.example' from tenants returning id`,
  )
  const userId = rows[0]?.id ?? ''
  await installWitness(pool)

  const eventId = await newEvent(pool)
  const bets = []
  for (const selection of ['home', 'away']) {
    const { bet } = await betsOf(pool).place(
      orderOf({ userId, eventId, selection, idempotencyKey: selection }),
    )
    bets.push({
      user: 'acme/a@acme.example',
      key: selection,
      betId: bet.id,
      eventId,
      stakeMinor: Number(bet.stakeMinor),
    })
  }
  const queue = newQueue({ pollMs: 20 })
  await pool.transaction({}, async (tx) => {
    await endEvent(tx, eventId, { winner: 'home' })
    await queue.enqueue(tx, 'settle', { event_id: eventId, provider_version: '1' }, { key: eventId })
  })
  const settlement = new Settlement(pool, { async tell() {} })
  await new SettlementWorker({ queue, settlement, logs }).start()
  await waitUntil(async () => {
    const jobs = await pool.query(`select from jobs.job_common where state <> 'completed'`)
    return jobs.rowCount === 0
  })

  const bot = await pool.query<{ id: string }>(
    `insert into bots (user_id, name, strategy, status) values ($1, 'Bot', 'buy(1)', 'running') returning id`,
    [userId],
  )
  const botId = bot.rows[0]?.id ?? ''
  const events = await pool.query<{ id: string }>(
    `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
     values ($1, $2, 'started', 'stopped', 'running', 1, clock_timestamp()) returning id`,
    [botId, userId],
  )
  let ownerBefore = 'nobody'
  for (const [at, owner] of ['one', 'other'].entries()) {
    const leases = new Leases({ pool, owner })
    const adoption = new BotAdoption(pool, leases, async () => {})
    const taken = await leases.take([leaseName(botId)])
    const { bots } = await adoption.adopt(taken, new Map([[leaseName(botId), ownerBefore]]), owner)
    const wanted = bots.flatMap((each) => {
      const { at: before } = each
      if (before === undefined) return []
      const order = { side: 'buy', quantity: 1, priceMinor: 100, isCut: false } as const
      return [{ bot: each, before, order, after: { cash: before.cash - 100, position: before.position + 1 } }]
    })
    await new TradeStore(pool, leases).save(at + 1, wanted)
    await leases.close()
    ownerBefore = owner
  }
  const acknowledged: Acknowledged = {
    bets,
    refused: [{ user: 'acme/a@acme.example', key: 'refused' }],
    operations: [events.rows[0]?.id ?? ''],
  }
  return { pool, acknowledged }
}

const UNGUARDED = `
  alter table ledger_entries disable trigger user;
  alter table balances disable trigger user;
  alter table trades disable trigger user;
  alter table bot_events disable trigger user;
`
const AGAIN = `insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id, id)
  overriding system value
  select user_id, kind, amount_minor, balance_after_minor + amount_minor, bet_id, nextval('ledger_entries_id_seq')`

/** What is done to it, and what is to be found. */
const DAMAGES: Readonly<Record<string, { readonly damage: string; readonly finds: RegExp }>> = {
  'a bet is paid twice': {
    damage: `alter table ledger_entries drop constraint ledger_entries_bet_id_kind_key;
      drop index ledger_entries_one_end;
      ${AGAIN} from ledger_entries where kind = 'payout';
      update balances set balance_minor = balance_minor
        + (select amount_minor from ledger_entries where kind = 'payout' limit 1)`,
    finds: /^bet \d+ has 2 entries of one kind$/m,
  },
  'a balance is off by one': {
    damage: 'update balances set balance_minor = balance_minor + 1',
    finds: /^money: .*"balance"/m,
  },
  'a bet is missing': {
    damage: `delete from bets where idempotency_key = 'away'`,
    finds: /^bet \d+ of acme\/a@acme\.example away was acknowledged, and there is \[\]$/m,
  },
  'a bet has another stake': {
    damage: `update bets set stake_minor = stake_minor + 1 where idempotency_key = 'home'`,
    finds: /^bet \d+ of acme\/a@acme\.example home was acknowledged/m,
  },
  'a bet is there that nobody was told of': {
    damage: `update bets set idempotency_key = 'unknown' where idempotency_key = 'home'`,
    finds: /^bet \d+ of acme\/a@acme\.example unknown is there, and nobody was told$/m,
  },
  'a bet is there that was refused': {
    damage: `update bets set idempotency_key = 'refused' where idempotency_key = 'home'`,
    finds: /^acme\/a@acme\.example refused was refused, and there is a bet$/m,
  },
  'a bet is not settled': {
    damage: `update bets set status = 'open', settled_at = null, payout_minor = null where idempotency_key = 'away'`,
    finds: /^bet \d+ on the event \d+ is open$/m,
  },
  'an operation is missing': {
    damage: `delete from bot_events where kind = 'started'`,
    finds: /^operation \d+ was acknowledged, and is not there$/m,
  },
  'a job is lost': {
    damage: `delete from jobs.job_common`,
    finds: /^event \d+ is over, and there was no job for it$/m,
  },
  'a job is left': {
    damage: `update jobs.job_common set state = 'retry'`,
    finds: /^job \S+ of settle is retry$/m,
  },
  'a notification is left': {
    damage: `insert into notifications (kind, channel, payload) values ('bot.failed', 'webhook', '{}')`,
    finds: /^notification \d+ is pending$/m,
  },
  'a trade is lost': {
    damage: 'delete from trades where tick = 2',
    finds: /^bot \d+ holds 2, its trades say 1$/m,
  },
  'an owner writes after the next one': {
    damage: `insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
      select bot_id, user_id, 3, side, symbol, quantity, price_minor, fence from trades where tick = 1`,
    finds: /^bot\/\d+: trade \d+ under the fence \d+ comes after one under \d+$/m,
  },
  'an owner writes late, before the next one has written': {
    damage: `delete from trades where tick = 2;
      insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
      select bot_id, user_id, 3, side, symbol, quantity, price_minor, fence from trades where tick = 1`,
    finds: /^bot\/\d+: trade \d+ under the fence \d+ at .*, and one owned it from .* until /m,
  },
  'somebody writes who was never given it': {
    damage: 'update trades set fence = fence + 1000 where tick = 2',
    finds: /^bot\/\d+: trade \d+ under the fence \d+, which was given to nobody$/m,
  },
  'two own it at once': {
    damage: `update leases set expires_at = clock_timestamp() + interval '1 hour', fence = nextval('lease_fences');
      update leases set owner = 'third', expires_at = clock_timestamp() + interval '1 hour', fence = nextval('lease_fences')`,
    finds: /^bot\/\d+: third owns it under the fence /m,
  },
  'a trade is committed when somebody else has it': {
    damage: `update trade_witness set owner = 'other', fence = fence + 1 where owner = 'one'`,
    finds: /^trade \d+ under the fence \d+ at whose commit other owned it under \d+$/m,
  },
  'an owner writes under the fence of another one': {
    damage: `update trade_witness set writer = 'other' where owner = 'one'`,
    finds: /^trade \d+ by other at whose commit one owned it$/m,
  },
  'a fence is given twice': {
    damage: `insert into ownership_witness (name, owner, fence, expires_at)
      select 'bot/0', 'third', fence, 'infinity' from trade_witness where owner = 'one'`,
    finds: /^the fence \d+ was given 2 times$/m,
  },
  'a fence falls': {
    damage: 'update leases set fence = 0',
    finds: /^bot\/\d+: the fence 0 of other comes after \d+$/m,
  },
  'another owner goes on under the same fence': {
    damage: `update leases set owner = 'third'`,
    finds: /^bot\/\d+: third went on under the fence \d+, which was that of other$/m,
  },
}

t.test('in a world that is in order nothing is found', async (t) => {
  const { pool, acknowledged } = await worldInOrder(t)
  t.strictSame(await audit(pool, acknowledged), [])
  t.strictSame(await witnessed(pool), {
    grants: 2,
    owners: 2,
    changesOfOwner: 1,
    trades: 2,
    tradesOfOwners: 0,
  })

  for (const [what, { damage, finds }] of Object.entries(DAMAGES)) {
    await t.test(what, async (t) => {
      const undone = new Error('undone')
      let found: readonly string[] = []
      const tried = pool.transaction({}, async (tx) => {
        await tx.query(UNGUARDED)
        await tx.query(damage)
        found = await audit(tx, acknowledged)
        throw undone
      })
      await t.rejects(tried, undone)
      t.match(found.join('\n'), finds)
    })
  }
  t.strictSame(await audit(pool, acknowledged), [], 'and all of it was undone')
})
