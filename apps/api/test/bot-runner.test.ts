// Bots that trade, on a real database: what they write, who runs them, and what becomes of those that cannot.

import type { PoolGuard } from '@holdfast/pool-guard'
import { HandClock, seededRandom, startPostgres, TcpProxy, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { MarketFeed, tickAt } from '../src/market/market-feed.ts'
import { strategyOf } from '../src/strategy/strategy.ts'
import { botHealth } from '../src/workers/bots/bot-health.ts'
import { withEvents } from '../src/workers/bots/holding-events.ts'
import { MAX_NOTICES, NoticeQueue } from '../src/workers/bots/notice-queue.ts'
import { testPool } from './fresh-database.ts'
import { faultsOf, TICK_MS, type TradeRow, tellInTable, tradingFloor } from './trading-floor.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const STRATEGIES = [
  'hold()',
  'buy(1)',
  'price < sma(20) ? buy(7) : sell(7)',
  'price < ago(3) * 0.999 ? buy(cash / price / 2) : price > ago(3) * 1.001 ? sell(position / 2) : hold()',
  'position == 0 ? buy(1000000) : sell(1000000)',
  'stddev(50) > 40 && price < ema(10) ? buy(3) : position > 10 ? sell(position) : hold()',
]

/** A way to the database of a floor that a test can cut. */
async function lineTo(t: Test, { url }: { readonly url: string }) {
  const line = await TcpProxy.start({ targetPort: Number(new URL(url).port) })
  t.teardown(() => line.close())
  const through = new URL(url)
  through.port = String(line.port)
  return { line, url: through.href }
}

t.test('bots trade what an independent reckoning comes to, tick by tick', async (t) => {
  const { addBots, trader, step, bots, trades, feed, clock } = await tradingFloor(t, postgres.directUrl)
  const ids = await addBots(STRATEGIES)
  const a = await trader('a')
  await step([a])
  t.equal(a.runner.snapshot().bots, ids.length)
  const first = tickAt(clock.wallMs(), TICK_MS) + 1
  const last = await step([a], 60)

  const expected: TradeRow[] = []
  const standing = STRATEGIES.map(() => ({ cash: 1_000_000, position: 0 }))
  for (let tick = first; tick <= last; tick += 1) {
    const prices = feed.pricesUntil('HFX', tick, 100)
    const price = feed.priceAt('HFX', tick)
    for (const [at, text] of STRATEGIES.entries()) {
      const has = standing[at] ?? { cash: 0, position: 0 }
      const { action, quantity } = strategyOf(text).decide({ prices, ...has })
      const units = Math.min(quantity, action === 'buy' ? Math.floor(has.cash / price) : has.position)
      if (action === 'hold' || units === 0) continue
      has.cash += (action === 'buy' ? -1 : 1) * units * price
      has.position += (action === 'buy' ? 1 : -1) * units
      expected.push({ bot: ids[at] ?? '', tick, side: action, quantity: units, price, fence: 0n })
    }
  }
  const found = await trades()
  t.ok(expected.length > 100, `${expected.length} trades`)
  t.strictSame(
    found.map((trade) => ({ ...trade, fence: 0n })),
    expected,
  )
  const stored = (await bots()).filter(({ id }) => ids.includes(id))
  t.strictSame(
    stored.map(({ cash, position }) => ({ cash, position })),
    standing,
  )
  t.strictSame(faultsOf(stored, found), [])
  const { trades: counted, failures, missed, lateMs } = a.runner.snapshot()
  t.match({ counted, failures, missed }, { counted: expected.length, failures: 0, missed: 0 })
  t.equal(lateMs, 0)
  t.ok((a.outcomes.get('cut') ?? 0) > 0)
  t.ok((a.outcomes.get('skipped') ?? 0) > 0)
  t.ok((a.outcomes.get('held') ?? 0) >= 60)
})

t.test('while strategies are asked, no connection is held, and a batch is one statement', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const { line, url } = await lineTo(t, floor)
  await floor.addBots(Array.from({ length: 250 }, (_, at) => (at % 5 === 0 ? 'hold()' : 'buy(1)')))
  let inserts = 0
  line.onClientData = (chunk) => {
    inserts += String(chunk).split('insert into trades').length - 1
  }
  let watched: PoolGuard | undefined
  const inUse: unknown[] = []
  const decided = (outcome: string) => {
    if (outcome === 'held') inUse.push(watched?.snapshot().connections.inUse)
  }
  const a = await floor.trader('a', { url, counters: { decided, traded() {} } })
  watched = a.pool
  await floor.step([a], 2)
  t.equal(a.runner.snapshot().bots, 250, '200 at once')
  inserts = 0
  const before = (await floor.trades()).length
  await floor.step([a])
  t.equal(inserts, 3, 'of 100 bots each, and of 50')
  t.equal((await floor.trades()).length, before + 200)
  t.ok(inUse.length >= 50)
  t.ok(inUse.every((each) => each === 0))
})

t.test('whoever stops a bot has stopped it: nothing is written after that', async (t) => {
  const { addBots, trader, step, operate, trades, bots, pool } = await tradingFloor(t, postgres.directUrl)
  const [id = '', other = ''] = await addBots(['buy(1)', 'buy(1)'])
  const a = await trader('a')
  await step([a], 3)
  await operate('stop', id)
  t.equal((await pool.query('select from leases where name = $1', [`bot/${id}`])).rowCount, 0)
  const before = (await trades()).filter(({ bot }) => bot === id).length
  await step([a], 3)
  const after = await trades()
  t.equal(before, 2)
  t.equal(after.filter(({ bot }) => bot === id).length, before)
  t.equal(after.filter(({ bot }) => bot === other).length, before + 3)
  t.equal(a.runner.snapshot().bots, 1, 'the runner has found out by its save')
  await operate('start', id)
  await step([a], 2)
  t.equal((await trades()).filter(({ bot }) => bot === id).length, before + 1)
  t.strictSame(faultsOf(await bots(), await trades()), [])
})

t.test('recovering takes a bot from an owner that hangs, who writes nothing when he wakes up', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const { addBots, trader, step, operate, trades, events } = floor
  const [id = ''] = await addBots(['buy(1)'])
  const a = await trader('a')
  await step([a], 3)
  const [lease] = a.leases.held.filter(({ name }) => name === `bot/${id}`)
  const b = await trader('b', { clock: new HandClock({ wallMs: floor.clock.wallMs() }) })
  await step([b], 2)
  t.equal(b.runner.snapshot().bots, 0, 'it is not his yet')
  await operate('recover', id)
  await step([b], 2)
  t.equal(b.runner.snapshot().bots, 1)
  const byB = (await trades()).filter(({ fence }) => fence > (lease?.fence ?? 0n))
  t.equal(byB.length, 1)
  await floor.clock.advance(10 * TICK_MS)
  await step([a])
  t.equal(a.outcomes.get('lost'), 1)
  t.equal(lease?.signal.aborted, true)
  t.strictSame(faultsOf(await floor.bots(), await trades()), [])
  t.match(await events(), [
    { bot_id: id, kind: 'recovered' },
    { bot_id: id, kind: 'taken_over', from_status: 'running', to_status: 'running' },
  ])
})

t.test('a tick that the owner before has traded at is not traded once more', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const [id = ''] = await floor.addBots(['buy(1)'])
  const a = await floor.trader('a')
  const last = await floor.step([a], 4)
  await a.runner.stop()
  // His clock is behind.
  const b = await floor.trader('b', { clock: new HandClock({ wallMs: floor.clock.wallMs() - 3 * TICK_MS }) })
  await floor.step([b])
  t.equal(b.runner.snapshot().bots, 1, 'it was given back, and he need not wait')
  await floor.step([b], 2)
  t.equal((await floor.trades()).at(-1)?.tick, last)
  await floor.step([b])
  const trades = (await floor.trades()).filter(({ bot }) => bot === id)
  t.equal(trades.at(-1)?.tick, last + 1)
  t.equal(trades.length, 4)
  t.equal(b.runner.snapshot().failures, 0)
  t.match(await floor.events(), [{ kind: 'taken_over' }])
})

t.test('by a clock that was set back, a tick is not traded once more, and others trade at it', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const [id = '', other = ''] = await floor.addBots(['buy(1)', 'buy(1)'])
  const a = await floor.trader('a')
  const now = await floor.step([a])
  // It has traded at the tick after the next one, and last so far beyond that no clock is there by chance.
  await floor.pool.query(
    `insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
     select id, user_id, $2, 'buy', 'HFX', 1, 1, 0 from bots where id = $1`,
    [id, now + 2],
  )
  await floor.pool.query('update bots set last_tick = $2 where id = $1', [id, now + 1000])
  await a.runner.stop()
  const b = await floor.trader('b')
  await floor.step([b])
  const last = await floor.step([b], 2)
  const ticksOf = async (bot: string) =>
    (await floor.trades()).filter((trade) => trade.bot === bot).map(({ tick }) => tick)
  t.equal(last, now + 3)
  t.strictSame(await ticksOf(other), [now + 2, now + 3])
  t.strictSame(await ticksOf(id), [now + 2, now + 3])
  t.equal(b.runner.snapshot().failures, 0)
})

t.test('processes share the bots, and what one leaves the others take', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  await floor.addBots(Array.from({ length: 40 }, () => 'buy(1)'))
  // Between two counts passes a third of it.
  const options = { leaseMs: 3000 }
  const a = await floor.trader('a', options)
  await floor.step([a], 2)
  t.equal(a.runner.snapshot().bots, 40)
  const b = await floor.trader('b', options)
  const c = await floor.trader('c', options)
  const all = [a, b, c]
  const held = () => all.map(({ runner }) => runner.snapshot().bots)
  for (let turn = 0; turn < 12; turn += 1) await floor.step(all)
  t.equal(
    held().reduce((sum, each) => sum + each, 0),
    40,
  )
  for (const each of held()) t.ok(each >= 10 && each <= 15, `${held().join(' ')}`)
  const resting = held()
  await floor.step(all, 5)
  t.strictSame(held(), resting, 'and then they stay where they are')
  await c.runner.stop()
  for (let turn = 0; turn < 6; turn += 1) await floor.step([a, b])
  t.equal(a.runner.snapshot().bots + b.runner.snapshot().bots, 40)
  const trades = await floor.trades()
  t.strictSame(faultsOf(await floor.bots(), trades), [])
})

t.test('what is more than the processes may run has no owner, and health says so', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  await floor.addBots(Array.from({ length: 12 }, () => 'hold()'))
  const a = await floor.trader('a', { maxBots: 10, graceMs: 300 })
  await floor.step([a], 2)
  t.equal(a.runner.snapshot().bots, 10)
  await waitUntil(async () => {
    await floor.step([a])
    return a.runner.snapshot().census.alone === 2
  })
  const times = { tickMs: TICK_MS, leaseMs: 300 }
  t.match(botHealth(a.runner.snapshot(), times), {
    status: 'degraded',
    reason: 'running bots without an owner: 2',
    data: { running: 12, without_owner: 2, processes: 1 },
  })
})

t.test('what is late, or not counted any more, is no good health', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const a = await floor.trader('a')
  await floor.step([a], 2)
  const times = { tickMs: TICK_MS, leaseMs: 15_000 }
  t.match(botHealth(a.runner.snapshot(), times), { status: 'healthy' })
  const snapshot = { ...a.runner.snapshot(), lateMs: 3100, censusAgeMs: 16_000 }
  t.match(botHealth(snapshot, times), {
    status: 'degraded',
    reason: 'the bots were last counted 16000 ms ago; the present tick is 3100 ms late',
  })
})

/** A tick from which on a price is above a line three times, and below it for a while a minute later. */
function beforeFall(feed: MarketFeed) {
  for (let tick = 1_700_000_000; ; tick += 1) {
    const minute = feed.pricesUntil('HFX', tick + 80, 81)
    const line = Math.max(...minute.slice(58))
    if (Math.min(...minute.slice(0, 3)) > line) return { tick, line }
  }
}

t.test('a strategy that fails has its bot hold, and no other one; its user is told', async (t) => {
  const { tick, line } = beforeFall(new MarketFeed())
  // What is taken at the first tick trades from the second one on.
  const clock = new HandClock({ wallMs: (tick - 2) * TICK_MS })
  const floor = await tradingFloor(t, postgres.directUrl, clock)
  const [bad = '', good = ''] = await floor.addBots([`price > ${line} ? buy(0 / 0) : buy(1)`, 'buy(1)'])
  const a = await floor.trader('a')
  await floor.step([a], 4)
  t.equal(a.outcomes.get('failed'), 3)
  t.equal(a.outcomes.get('fallback'), undefined)
  await floor.step([a], 5)
  t.equal(a.outcomes.get('failed'), 3, 'it is not asked any more')
  t.equal(a.outcomes.get('fallback'), 5)
  t.equal(a.runner.algorithm, 'closed')
  t.strictSame(a.health.snapshot().features, [])
  t.equal((await floor.trades()).filter(({ bot }) => bot === good).length, 8)
  t.match(await floor.notices(), [
    {
      kind: 'bot.holding',
      user_id: floor.userId,
      payload: {
        bot_id: bad,
        name: 'Bot 1',
        reason: '3 failures in a row: buy was given no number of units',
      },
    },
  ])
  t.match((await floor.events()).slice(-1), [
    {
      bot_id: bad,
      kind: 'holding',
      to_status: 'running',
      reason: /^3 failures in a row: buy was given no number/,
    },
  ])
  // Another process that knows of it only now, and has it no more.
  const late = { kind: 'bot.holding', payload: { bot_id: bad, reason: 'late' } }
  const events = await floor.events()
  await floor.pool.transaction({}, (tx) => withEvents(async () => {}, 'b')(tx, late))
  t.strictSame(await floor.events(), events, 'it writes nothing')
  // A minute later it is asked again.
  await floor.step([a], 60)
  t.match(await floor.notices(), [{}, { kind: 'bot.trading_again', payload: { bot_id: bad } }])
  t.match((await floor.events()).slice(-1), [{ bot_id: bad, kind: 'trading_again' }])
  t.ok((await floor.trades()).some(({ bot }) => bot === bad))
  t.equal(a.outcomes.get('failed'), 3)
})

t.test('when all strategies fail, all hold and the feature is degraded', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  await floor.addBots(['buy(0 / 0)', 'buy(price * 1000000)'])
  const a = await floor.trader('a')
  await floor.step([a], 4)
  t.equal(a.outcomes.get('failed'), 6, 'no number of units, and too many of them')
  t.equal(a.runner.algorithm, 'open')
  t.match(a.health.snapshot().features, [{ name: 'algorithm', reason: /the bots hold/ }])
  t.match(
    (await floor.notices())
      .map(({ kind, user_id }) => `${kind} ${user_id === null ? 'operators' : 'user'}`)
      .sort(),
    ['bot.holding user', 'bot.holding user'],
    'of the feature, whoever watches features tells',
  )
  const [good = ''] = await floor.addBots(['buy(1)'])
  await floor.step([a], 5)
  t.strictSame(await floor.trades(), [], 'what comes meanwhile holds, too')
  await floor.step([a], 60)
  t.equal(a.runner.algorithm, 'closed')
  t.strictSame(a.health.snapshot().features, [])
  t.ok((await floor.trades()).some(({ bot }) => bot === good))
})

t.test('a decision that takes too long has failed', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  await floor.addBots(['buy(1)'])
  const a = await floor.trader('a', { decisionBudgetMs: -1 })
  await floor.step([a], 4)
  t.equal(a.outcomes.get('failed'), 3)
  t.strictSame(await floor.trades(), [])
})

t.test('a bot that cannot run is failed, its user is told, and the others run', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const ids = await floor.addBots(['nonsense(', 'buy(1)', 'buy(1)', 'buy(1)'])
  await floor.pool.query(`update bots set symbol = 'GONE' where id = $1`, [ids[1]])
  await floor.pool.query('update bots set cash_minor = 9007199254740993 where id = $1', [ids[2]])
  const a = await floor.trader('a')
  await floor.step([a], 2)
  t.match(
    (await floor.bots()).filter(({ id }) => ids.includes(id)),
    [{ status: 'failed' }, { status: 'failed' }, { status: 'failed' }, { status: 'running' }],
  )
  t.match(await floor.events(), [
    { kind: 'failed', from_status: 'running', to_status: 'failed', reason: /^its strategy is none: line 1/ },
    { kind: 'failed', reason: 'there is no symbol GONE' },
    { kind: 'failed', reason: /^its cash/ },
  ])
  t.match(await floor.notices(), [
    {
      kind: 'bot.failed',
      payload: { why: 'its strategy is none: line 1, column 10: the expression is not complete' },
    },
    { kind: 'bot.failed', payload: { why: 'there is no symbol GONE' } },
    { kind: 'bot.failed', payload: { why: /more than can be counted/ } },
  ])
  t.equal((await floor.trades()).length, 1)
  t.equal((await floor.pool.query(`select from leases where kind = 'bot'`)).rowCount, 1)
})

t.test('what somebody changes under a bot is looked at again, and a bot that he holds waits', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const [poor = '', held = ''] = await floor.addBots(['buy(1)', 'buy(1)'])
  const a = await floor.trader('a')
  await floor.step([a], 2)
  await floor.pool.query('update bots set cash_minor = 7 where id = $1', [poor])
  await floor.step([a])
  t.equal(a.outcomes.get('passed'), 1)
  await floor.step([a])
  t.equal(a.outcomes.get('skipped'), 1, 'it has too little now')
  const tradesOf = async (id: string) => (await floor.trades()).filter(({ bot }) => bot === id).length
  t.equal(await tradesOf(held), 3)
  const sql = testPool(floor.url, 1)
  t.teardown(() => sql.end())
  const client = await sql.connect()
  await client.query('begin')
  await client.query('select from bots where id = $1 for update', [held])
  await floor.step([a], 2)
  await client.query('commit')
  client.release()
  t.equal(await tradesOf(held), 3)
  t.equal(a.outcomes.get('passed'), 3)
  await floor.step([a])
  t.equal(await tradesOf(held), 4)
  t.equal(a.runner.snapshot().failures, 0, 'nobody has waited')
})

t.test('a save of which nobody knows what became is looked at, and never done twice', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const { line, url } = await lineTo(t, floor)
  const random = seededRandom()
  random.announce(t)
  await floor.addBots(['buy(1)', 'position > 2 ? sell(3) : buy(1)'])
  const a = await floor.trader('a', { url })
  await floor.step([a], 2)
  let broken = 0
  line.onClientData = (chunk) => {
    if (!/commit/i.test(String(chunk)) || random.next() > 0.4) return
    broken += 1
    line.reset()
  }
  await waitUntil(
    async () => {
      await floor.step([a])
      return broken > 3 && (await floor.trades()).length > 20
    },
    { timeoutMs: 60_000, what: 'commits to be cut off' },
  )
  line.onClientData = undefined
  const before = (await floor.trades()).length
  await waitUntil(
    async () => {
      await floor.step([a])
      return (await floor.trades()).length > before + 2
    },
    { timeoutMs: 60_000, what: 'the bots to go on' },
  )
  t.comment(`${broken} commits were cut off`)
  t.strictSame(faultsOf(await floor.bots(), await floor.trades()), [])
})

t.test('without the database bots pause, and go on with it', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const { line, url } = await lineTo(t, floor)
  await floor.addBots(['buy(1)'])
  const a = await floor.trader('a', { url })
  await floor.step([a], 3)
  line.refuse()
  line.reset()
  await floor.step([a], 3)
  t.ok(a.runner.snapshot().failures > 0)
  t.equal(a.log.filter((each) => each.startsWith('bots pause')).length, 1, 'told once')
  await line.heal()
  const before = (await floor.trades()).length
  await waitUntil(
    async () => {
      await floor.step([a])
      return (await floor.trades()).length > before
    },
    { timeoutMs: 60_000, what: 'the bots to go on' },
  )
  await floor.step([a])
  t.ok(a.log.some((each) => each.startsWith('bots go on')))
  t.strictSame(faultsOf(await floor.bots(), await floor.trades()), [])
})

t.test(`${MAX_NOTICES} notices wait at most, and those until there is somewhere to write them`, async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const lines: string[] = []
  const queue = new NoticeQueue(floor.pool, tellInTable, {
    warn: (_fields, message) => void lines.push(message),
  })
  await queue.flush()
  for (let at = 0; at <= MAX_NOTICES; at += 1) queue.add({ kind: `kind-${at}`, payload: {} })
  t.strictSame(lines, ['too many notices wait; this one is not sent'])
  await floor.pool.query('alter table told rename to gone')
  await t.rejects(queue.flush(), { code: '42P01' })
  await floor.pool.query('alter table gone rename to told')
  await queue.flush()
  await queue.flush()
  const kinds = (await floor.notices()).map(({ kind }) => kind)
  t.equal(kinds.length, MAX_NOTICES, 'each once')
  t.equal(kinds.at(-1), `kind-${MAX_NOTICES - 1}`)
})

t.test('a notice for who is there no more holds up no other one', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  await floor.pool.query('alter table told add foreign key (user_id) references users (id)')
  const lines: string[] = []
  const queue = new NoticeQueue(floor.pool, tellInTable, {
    warn: (fields, message) => void lines.push(`${message}: ${Object(fields).notice}`),
  })
  queue.add({ kind: 'first', payload: {} })
  queue.add({ kind: 'late', userId: '999999', payload: {} })
  queue.add({ kind: 'last', userId: floor.userId, payload: {} })
  await queue.flush()
  t.strictSame(lines, ['a notice cannot be written; it is not sent: late'])
  await queue.flush()
  t.strictSame(
    (await floor.notices()).map(({ kind }) => kind),
    ['first', 'last'],
  )
})

t.test('after a start, what nobody has run for long is no news any more once it is taken', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  await floor.addBots(['hold()', 'hold()'])
  await floor.pool.query(`update leases set expires_at = now() - interval '1 hour'`)
  const a = await floor.trader('a')
  await floor.step([a])
  t.match(a.runner.snapshot(), { bots: 2, census: { running: 2, alone: 0 } })
})
