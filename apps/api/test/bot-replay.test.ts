// The same ticks give the same trades, whoever is there for them: bots change hands at random, and what they have traded is
// what one reckoning says of exactly those ticks at which somebody was there.

import { HandClock, startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { tickAt } from '../src/market/market-feed.ts'
import { BotReplay, type ReplayedTrade, replay } from './trade-replay.ts'
import { faultsOf, TICK_MS, type Trader, tradingFloor } from './trading-floor.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const STRATEGIES = [
  'position > 2 ? sell(3) : buy(1)',
  'price < sma(20) ? buy(7) : sell(7)',
  'price < ago(3) * 0.999 ? buy(cash / price / 2) : price > ago(3) * 1.001 ? sell(position / 2) : hold()',
  'position == 0 ? buy(1000000) : sell(1000000)',
  'stddev(50) > 40 && price < ema(10) ? buy(3) : position > 10 ? sell(position) : hold()',
  'price % 7 == 0 ? buy(0 / 0) : price % 2 == 0 ? buy(1) : sell(1)',
] as const
const TURNS = 25
const HOUR_MS = 3_600_000

t.test('whoever runs a bot, and however often it changes hands, it trades the same', async (t) => {
  const floor = await tradingFloor(t, postgres.directUrl)
  const { random, clock, feed } = floor
  const ids = await floor.addBots(STRATEGIES)
  const replays = ids.map(
    (id, at) => new BotReplay({ id, symbol: 'HFX', strategy: STRATEGIES[at] ?? '' }, feed),
  )
  const expected: ReplayedTrade[] = []
  let missed = 0
  let born = 0
  // Each has a clock of its own, which stands still when it hangs, and leases that only an operation can end.
  const next = () => {
    born += 1
    return floor.trader(`process-${born}`, {
      clock: new HandClock({ wallMs: clock.wallMs() }),
      leaseMs: HOUR_MS,
    })
  }
  const holders: Trader[] = [await next()]

  /** One tick, for those of the bots that somebody has when it begins. */
  const tick = async (present: readonly Trader[]) => {
    const attended = new Set(
      present.flatMap(({ leases }) =>
        leases.held.filter(({ signal }) => !signal.aborted).map(({ name }) => name),
      ),
    )
    await clock.advance(TICK_MS)
    await floor.step(present)
    const at = tickAt(clock.wallMs(), TICK_MS)
    for (const [which, id] of ids.entries()) {
      const due = replays[which]?.due(at)
      if (due === undefined) continue
      if (attended.has(`bot/${id}`)) {
        expected.push(due)
        replays[which]?.take(due)
      } else missed += 1
    }
  }

  for (let turn = 0; turn < TURNS; turn += 1) {
    for (let ticks = random.int(1, 6); ticks > 0; ticks -= 1) await tick(holders)
    const what = random.pick(['ends', 'hangs', 'nobody', 'comes'] as const)
    if (what === 'ends') {
      await holders.shift()?.runner.stop()
      holders.push(await next())
    } else if (what === 'hangs') {
      // It goes on believing that the bots are its own, and is not asked any more; their user takes them away from it.
      holders.splice(0)
      for (const id of ids) await floor.operate('recover', id)
      // Nor is it counted any more: its lease would be over by now.
      await floor.pool.query(`update leases set expires_at = now() where kind = 'bot-runner'`)
      holders.push(await next())
    } else if (what === 'nobody') {
      for (const each of holders.splice(0)) await each.runner.stop()
      for (let ticks = random.int(1, 9); ticks > 0; ticks -= 1) await tick([])
      holders.push(await next())
    } else if (holders.length < 3) {
      holders.push(await next())
    }
  }

  const found = await floor.trades()
  const order = (left: ReplayedTrade, right: ReplayedTrade) =>
    left.tick - right.tick || Number(left.bot) - Number(right.bot)
  t.strictSame(
    found.map(({ fence: _, ...trade }) => trade).toSorted(order),
    expected.toSorted(order),
    'no tick twice, none lost that somebody was there for, and none made up for',
  )
  const stored = (await floor.bots()).filter(({ id }) => ids.includes(id))
  t.strictSame(
    stored.map(({ cash, position }) => ({ cash: BigInt(cash), position: BigInt(position) })),
    replays.map(({ holdings }) => holdings),
  )
  t.strictSame(faultsOf(stored, found), [])
  t.comment(`${found.length} trades by ${born} processes; ${missed} that nobody was there for`)
  t.ok(found.length > 50 && missed > 5 && born > 5)
})

t.test('a trade that the rule does not give is found by the replay', async (t) => {
  const { feed } = await tradingFloor(t, postgres.directUrl)
  const bot = { id: '1', symbol: 'HFX', strategy: 'position > 0 ? sell(1) : buy(1)' } as const
  const trade = (tick: number, side: 'buy' | 'sell', more: number = 0) => ({
    bot: '1',
    tick,
    side,
    quantity: 1,
    price: feed.priceAt('HFX', tick) + more,
    fence: 1n,
  })
  t.strictSame(replay(bot, [trade(5, 'buy'), trade(8, 'sell')], feed), { faults: [], missed: 2 })
  for (const wrong of [
    [trade(5, 'sell')],
    [trade(5, 'buy'), trade(6, 'buy')],
    [trade(5, 'buy', 1)],
    [{ ...trade(5, 'buy'), quantity: 2 }],
  ]) {
    t.equal(replay(bot, wrong, feed).faults.length, 1)
  }
})
