// Random bets, repeats, results, corrections of results, settlements and processes that leave in the middle, on a real
// database: then the money is where a model of it says.

import { runInScope } from '@holdfast/pool-guard'
import { type SeededRandom, seededRandom, startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import type { BetOrder, PlacedBet } from '../src/routes/bets/bet.ts'
import { type EndedEvent, endingOf } from '../src/workers/settlement/ending.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import {
  anotherProcess,
  bettingDatabase,
  endEvent,
  moneyAstray,
  newEvent,
  orderOf,
  setOdds,
} from './betting.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(300_000)

const ROUNDS = 3
const STEPS = 640
const AT_ONCE = 8

const REFUSALS =
  /^HOLDFAST_ERR_(API_(EVENT_CLOSED|ODDS_WORSE|BALANCE_TOO_LOW|SELECTION_UNKNOWN|IDEMPOTENCY_KEY_REUSED)|POOL_GUARD_(ABORTED|ACQUIRE_TIMEOUT|QUEUE_FULL))$/

type Result = Readonly<Record<string, string>> | undefined

const RESULTS: readonly Result[] = [
  undefined,
  {},
  { winner: 'home' },
  { winner: 'away', goals: 'over_2' },
  { goals: 'under_3' },
]

t.test(
  'whatever happens in whichever order, balances are their entries, and every bet is paid once',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    for (let round = 1; round <= ROUNDS; round += 1) {
      const { url, pool, bets, users } = await bettingDatabase(t, postgres.directUrl, {
        users: 6,
        connections: 10,
      })
      const other = anotherProcess(t, url, 10)
      await pool.query('create table told (bet_id bigint not null)')
      const settlements = [pool, other.pool].map(
        (each) =>
          new Settlement(each, {
            tell: async (tx, { payload }) => {
              const ids = (payload['bets'] as readonly { bet_id: string }[]).map(({ bet_id }) => bet_id)
              await tx.query('insert into told select unnest($1::bigint[])', [ids])
            },
          }),
      )
      const open = await Promise.all(Array.from({ length: 6 }, () => newEvent(pool)))
      const over = new Map<string, Result>()
      /** All that was ever said of an event that is over: a bet follows what was said when it was settled. */
      const said = new Map<string, Result[]>()
      const orders: BetOrder[] = []
      const acknowledged = new Map<string, PlacedBet>()
      let repeats = 0
      let aborted = 0
      let corrections = 0

      /** With a client that leaves at any moment, or does not. */
      const perhapsLeaving = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
        const leaving = new AbortController()
        const leaves = random.next() < 0.25
        const patience = random.int(0, 40)
        const running = runInScope({ signal: leaving.signal }, work)
        const answer = running.catch((error: { code?: string }) => {
          if (!REFUSALS.test(String(error.code))) throw error
          if (error.code === 'HOLDFAST_ERR_POOL_GUARD_ABORTED') aborted += 1
          return undefined
        })
        if (leaves) {
          for (let turn = 0; turn < patience; turn += 1) await new Promise((next) => setImmediate(next))
          leaving.abort()
        }
        return answer
      }

      const place = async () => {
        const events =
          random.next() < 0.85 ? open.filter((eventId) => !over.has(eventId)) : [...over.keys(), ...open]
        const isRepeat = orders.length > 0 && random.next() < 0.35
        const order = isRepeat ? random.pick(orders) : newOrder(random, users, events)
        orders.push(order)
        const placed = await perhapsLeaving(() => random.pick([bets, other.bets]).place(order))
        if (placed === undefined) return
        if (placed.replayed) repeats += 1
        const key = `${order.userId} ${order.idempotencyKey}`
        const before = acknowledged.get(key)
        if (before !== undefined) t.strictSame(placed.bet, before, 'a repeat is answered with the same')
        acknowledged.set(key, placed.bet)
      }
      const settle = async () => {
        if (over.size === 0) return
        const eventId = random.pick([...over.keys()])
        await perhapsLeaving(() => random.pick(settlements).settleNext({ eventId, limit: random.int(1, 9) }))
      }
      const end = async () => {
        const eventId = random.pick(open)
        if (over.has(eventId)) return
        const result = random.pick(RESULTS)
        over.set(eventId, result)
        said.set(eventId, [result])
        await endEvent(pool, eventId, result)
        if (open.length - over.size < 4) open.push(await newEvent(pool))
      }
      /** Not by the provider's worker, which takes no second word: by hand, which the database does not hinder. */
      const correct = async () => {
        if (over.size === 0) return
        const eventId = random.pick([...over.keys()])
        const result = random.pick(RESULTS)
        said.get(eventId)?.push(result)
        corrections += 1
        await endEvent(pool, eventId, result)
      }
      const moveOdds = () => setOdds(pool, random.pick(open), 'winner', 'home', random.int(1001, 4000))

      for (let step = 0; step < STEPS; step += AT_ONCE) {
        await Promise.all(
          Array.from({ length: AT_ONCE }, () => {
            const chance = random.next()
            if (chance < 0.6) return place()
            if (chance < 0.9) return settle()
            if (chance < 0.94) return end()
            return chance < 0.97 ? correct() : moveOdds()
          }),
        )
      }
      // What their jobs would do in the end.
      for (const eventId of over.keys()) {
        for (const settlement of settlements) {
          for (let more = true; more; ) ({ more } = await settlement.settleNext({ eventId, limit: 50 }))
        }
      }

      t.strictSame(await moneyAstray(pool), [], `round ${round}`)
      const { rows } = await pool.query<Record<string, string>>(
        'select id, user_id, event_id, market, selection, stake_minor, odds_milli, status, payout_minor, idempotency_key as key from bets',
      )
      const stored = new Map(rows.map((row) => [`${row['user_id']} ${row['key']}`, row]))
      for (const [key, bet] of acknowledged)
        t.equal(stored.get(key)?.['id'], bet.id, 'what was acknowledged is there')
      for (const row of rows) {
        const eventId = String(row['event_id'])
        if (!over.has(eventId)) {
          t.equal(row['status'], 'open')
          continue
        }
        const bet = {
          market: String(row['market']),
          selection: String(row['selection']),
          stakeMinor: BigInt(row['stake_minor'] ?? 0),
          oddsMilli: Number(row['odds_milli']),
        }
        const endings = (said.get(eventId) ?? []).map((result) => {
          const { status, payoutMinor } = endingOf(endedBy(result), bet)
          return `${status} ${payoutMinor}`
        })
        const ending = `${row['status']} ${row['payout_minor']}`
        t.ok(endings.includes(ending), `bet ${row['id']}: ${ending} of ${endings.join(', ')}`)
      }
      const told = (await pool.query<{ bet_id: string }>('select bet_id from told')).rows.map(
        ({ bet_id }) => bet_id,
      )
      const settled = rows.filter(({ status }) => status !== 'open').map(({ id }) => String(id))
      t.strictSame(told.toSorted(), settled.toSorted(), 'everybody was told of every bet once')
      t.comment(
        `round ${round}: ${rows.length} bets, ${settled.length} settled, ${repeats} repeats, ${aborted} left in the middle, ${corrections} corrections`,
      )
      t.ok(
        rows.length > 50 && settled.length > 10 && repeats > 10 && aborted > 10 && corrections > 5,
        'enough of everything',
      )
    }
  },
)

function endedBy(result: Result): EndedEvent {
  return result === undefined ? { status: 'void', result: null } : { status: 'finished', result }
}

function newOrder(random: SeededRandom, users: readonly string[], events: readonly string[]): BetOrder {
  const [market, selection] = random.pick([
    ['winner', 'home'],
    ['winner', 'away'],
    ['goals', 'over_2'],
    ['goals', 'draw'],
  ] as const)
  return orderOf({
    userId: random.pick(users),
    eventId: random.pick(events),
    market,
    selection,
    stakeMinor: random.int(1, 9000),
    seenOddsMilli: random.next() < 0.3 ? random.int(1001, 3000) : undefined,
  })
}
