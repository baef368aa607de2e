// Twenty minutes of trading and betting, in the time of a test, while everything is killed, frozen and started again: what
// was acknowledged is there, once, what is settled was paid once, no job is lost, each bot has one owner at any instant,
// and nobody who only looks hears of any of it.

import { seededRandom, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { DEFAULT_THEME } from '../../src/routes/public-theme/theme.ts'
import { witnessed } from '../ownership-witness.ts'
import { brandOf } from '../service-process.ts'
import { untilDone, untilWell } from './aftermath.ts'
import { audit } from './auditor.ts'
import { simulatedMinutes } from './compressed-time.ts'
import { faultsOf, planOf } from './faults.ts'
import { Players, type Told } from './players.ts'
import type { Way } from './servers.ts'
import { Strikes } from './strikes.ts'
import { Visitors, type VisitorsReport } from './visitors.ts'
import { PROVIDER_CAP, startWorld, type World } from './world.ts'

const CHAOS_MS = 82_000
const MINUTES = 20
const BEGIN_MS = 60_000
/** A tick lasts a tenth of what it stands for. */
const TRADING_MS = (MINUTES * 60_000) / 10

export function twentyMinutes(way: Way): void {
  t.setTimeout(600_000)
  t.test(`twenty minutes of chaos, ${way}`, async (t) => {
    const random = seededRandom()
    random.announce(t)
    const beganMs = performance.now()
    const say = (what: string) => t.comment(`${Math.round((performance.now() - beganMs) / 1000)} s: ${what}`)
    const world = await startWorld(t, way, random.seed)
    t.teardown(() => {
      if (!t.passing()) for (const { warnings } of world.members) t.comment(warnings.join('\n'))
    })
    await untilBegun(world)
    say('bots trade, and there are odds and themes')

    const faults = faultsOf(world)
    const strikes = new Strikes()
    const plan = planOf(faults, random)
    const visitors = new Visitors(world.url, random, () => strikes.goingOn())
    const players = await Players.begin(world, random)
    await strikes.run(plan, CHAOS_MS)
    const told = await players.leave()
    say(`${strikes.begun} faults are over`)
    const last = await untilWell(world.members)
    say(`all are well${last.map((complaint) => `; before: ${complaint}`).join('')}`)
    t.strictSame(await players.areSignedIn(), [200, 200], 'who has signed in still is')
    await waitUntil(async () => (await simulatedMinutes(world.sql)).traded >= MINUTES, {
      timeoutMs: TRADING_MS,
      what: 'enough time to go by',
    })
    await untilDone(world.sql)
    say('everything is done')
    const visits = await visitors.leave()
    await endInOrder(world)
    say('all have ended')

    t.strictSame(visits.failures, [], 'everybody who looked was answered, and well')
    t.strictSame(await audit(world.sql, told), [], 'the books are in order')
    t.equal(told.differing, 0, `${told.repeats} repeats were answered with the same bytes`)
    t.notOk(told.reads['401'], 'nobody was signed out')
    t.strictSame(
      new Set(strikes.counts.keys()),
      new Set(faults.map(({ name }) => name)),
      'each fault has been',
    )
    await isEnough(t, world, told, visits)
  })
}

/** A service that has never had its database for long enough tells the theme of nobody, which is no fault. */
async function untilBegun({ sql, fleet: { web } }: World): Promise<void> {
  await waitUntil(
    async () => {
      const { rows } = await sql.query<{ begun: boolean }>(
        'select exists (select from trades) and exists (select from odds) as begun',
      )
      const brands = await Promise.all(
        web.flatMap(({ url }) => [brandOf(url, 'acme'), brandOf(url, 'globex')]),
      )
      return rows[0]?.begun === true && !brands.includes(DEFAULT_THEME.brand_name)
    },
    { timeoutMs: BEGIN_MS, what: 'trades, odds and themes' },
  )
}

/** Whoever puts jobs in ends before those that run them. */
async function endInOrder({ sql, members, fleet: { worker_settlement: settling } }: World): Promise<void> {
  const others = members.filter((member) => !settling.includes(member))
  await Promise.all(others.map((member) => member.end()))
  await untilDone(sql)
  await untilWell(settling)
  await Promise.all(settling.map((member) => member.end()))
}

/** Findings of nothing prove nothing. */
async function isEnough(t: Test, { sql, provider, webhook }: World, told: Told, visits: VisitorsReport) {
  const { answers, slowestMs } = visits
  const { rows } = await sql.query<Record<'trades' | 'takenOver' | 'paid' | 'messages', number>>(
    `select (select count(*)::int from trades) as trades,
       (select count(*)::int from bot_events where kind = 'taken_over') as "takenOver",
       (select count(*)::int from bets where status = 'won') as paid,
       (select count(*)::int from notifications) as messages`,
  )
  const { trades = 0, takenOver = 0, paid = 0, messages = 0 } = rows[0] ?? {}
  const minutes = await simulatedMinutes(sql)
  const { grants, owners, changesOfOwner } = await witnessed(sql)
  const { mostInAMinute } = provider.counts()
  t.comment(`${minutes.traded.toFixed(1)} minutes of trading, ${minutes.bet.toFixed(1)} minutes of betting`)
  t.comment(`public answers: ${JSON.stringify(answers)}, the slowest after ${slowestMs} ms`)
  t.comment(`those of people who are signed in: ${JSON.stringify({ ...told.counts, reads: told.reads })}`)
  t.comment(`${told.bets.length} bets, ${paid} of them won; ${messages} messages`)
  t.comment(`${trades} trades, ${grants} grants to ${owners} owners, ${changesOfOwner} from one to another`)
  t.comment(`the provider was asked ${mostInAMinute} times in a minute at most`)

  t.ok(minutes.traded >= MINUTES, `${MINUTES} minutes of trading`)
  t.ok(minutes.bet >= MINUTES, `${MINUTES} minutes of betting`)
  t.ok((answers['200'] ?? 0) > 2000 && (answers['304'] ?? 0) > 200, 'visitors')
  t.ok(told.bets.length > 200 && paid > 50, 'bets')
  t.ok(told.operations.length > 50, 'operations on bots')
  t.ok(trades > 2000, 'trades')
  t.ok(changesOfOwner > 20 && takenOver > 20 && owners >= 5, 'bots have changed hands')
  t.ok(mostInAMinute <= PROVIDER_CAP, 'the provider was asked no more than was agreed')
  t.equal(webhook.taken, messages, 'each message was taken')
}
