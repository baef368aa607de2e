// From a provider's result to the money of whoever has bet: over HTTP, through the real queue, into the ledger; once,
// whatever the provider says afterwards.

import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { systemClock } from '@holdfast/footing'
import { Logs } from '@holdfast/logging'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { Leases } from '../src/db/leases.ts'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { ProviderClient } from '../src/provider/provider-client.ts'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'
import { OddsWorker } from '../src/workers/odds/odds-worker.ts'
import { ProviderPace } from '../src/workers/odds/provider-pace.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { SettlementWorker } from '../src/workers/settlement/settlement-worker.ts'
import { anotherProcess, bettingDatabase, moneyAstray, orderOf, tellingTable } from './betting.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

const FIXTURE = {
  seed: 1,
  everyMs: 60_000,
  openMs: 1_200_000,
  lastsMs: 30_000,
  keptMs: 7_200_000,
  oddsTickMs: 1000,
}
/** After the end of all that can be bet on at first. */
const LATER_MS = 1_300_000

t.test('a result settles its bets once, whatever the provider says afterwards', async (t) => {
  const { pool, url, bets, users } = await bettingDatabase(t, postgres.directUrl, { users: 3 })
  const teller = await tellingTable(pool)
  const logs = new Logs<FastifyRequest>({ destination: { write() {} } })
  const queueOf = (own: typeof pool) => {
    const silent = { warn() {}, error() {} }
    const queue = new BossQueue({ pool: own, correlation: logs, log: silent, pollMs: 50, lookSeconds: 1 })
    t.teardown(() => queue.close())
    return queue
  }

  // Time goes on for the provider when the test says so, and with it for whoever judges what it tells.
  const clock = new HandClock({ wallMs: Date.now() })
  const simulatorOf = async (fixture: typeof FIXTURE) => {
    const simulator = await ProviderSimulator.start({ sports: ['chess'], clock, fixture })
    const client = new ProviderClient({
      url: simulator.url,
      clock: {
        nowMs: () => systemClock.nowMs(),
        wallMs: () => clock.wallMs(),
        schedule: (ms, callback) => systemClock.schedule(ms, callback),
      },
    })
    t.teardown(async () => {
      await client.close()
      await simulator.close()
    })
    return { simulator, client }
  }
  const told = await simulatorOf(FIXTURE)
  // Says something else about the same events, in a newer version.
  const corrected = await simulatorOf({ ...FIXTURE, seed: 2, oddsTickMs: 500 })
  let current = told.client
  const leases = new Leases({ pool, owner: 'odds' })
  const worker = new OddsWorker({
    pool,
    leases,
    provider: { feed: (sport, context) => current.feed(sport, context) },
    pace: new ProviderPace({ pool, provider: 'p', requestsPerMinute: 6000 }),
    breaker: new CircuitBreaker('p'),
    queue: queueOf(pool),
    sports: ['chess'],
    intervalMs: 50,
  })
  t.teardown(async () => {
    await worker.stop()
    await leases.close()
  })
  /** What is told from now on has been saved, more than once. */
  const heard = async () => {
    const saved = () => worker.snapshot()[0]?.saved ?? 0
    const before = saved()
    await waitUntil(() => saved() > before + 3, { timeoutMs: 60_000, what: 'more saves' })
  }
  worker.start()
  await heard()

  const { rows: events } = await pool.query<{ id: string; ref: string }>(
    `select id, provider_ref as ref from sport_events
     where status = 'scheduled' and starts_at > clock_timestamp() + interval '3 minutes' order by id`,
  )
  t.ok(events.length >= 10, `${events.length} events to bet on`)
  for (const { id: eventId } of events) {
    for (const [at, selection] of ['home', 'draw', 'away'].entries()) {
      await bets.place(
        orderOf({ userId: users[at] ?? '', eventId, market: 'winner', selection, stakeMinor: 100 }),
      )
    }
  }

  const { pool: own } = anotherProcess(t, url)
  const settling = queueOf(own)
  const settlement = new SettlementWorker({ queue: settling, settlement: new Settlement(own, teller), logs })
  t.teardown(() => settlement.stop())
  await settlement.start()

  await clock.advance(LATER_MS)
  const state = async () => {
    const { rows } = await pool.query<{ ref: string; selection: string; status: string }>(
      `select provider_ref as ref, selection, bets.status from bets join sport_events on sport_events.id = event_id
       order by bets.id`,
    )
    return rows
  }
  await waitUntil(async () => (await state()).every(({ status }) => status !== 'open'), {
    timeoutMs: 120_000,
    what: 'all bets to be settled',
  })
  const truthOf = ({ simulator }: typeof told) =>
    new Map(simulator.truth('chess').events.map((event) => [event.id, event]))
  const truth = truthOf(told)
  const settled = await state()
  const shouldBe = settled.map(({ ref, selection }) => {
    const event = truth.get(ref)
    const status =
      event?.status === 'void' ? 'void' : event?.result?.['winner'] === selection ? 'won' : 'lost'
    return { ref, selection, status }
  })
  t.strictSame(settled, shouldBe)
  t.strictSame(await moneyAstray(pool), [])
  const moved = async () => ({
    entries: (await pool.query('select * from ledger_entries order by id')).rows,
    balances: (await pool.query('select user_id, balance_minor from balances order by user_id')).rows,
    told: (await pool.query('select * from told order by user_id, payload::text')).rows.length,
    results: (
      await pool.query(
        'select id, status, result, provider_version from sport_events where id = any($1) order by id',
        [events.map(({ id }) => id)],
      )
    ).rows,
    // One for each of them, those that have been done included.
    jobs: (
      await pool.query(
        `select data -> 'payload' ->> 'event_id' as id, state from jobs.job
         where name = 'settle' and data -> 'payload' ->> 'event_id' = any($1)
         order by (data -> 'payload' ->> 'event_id')::bigint`,
        [events.map(({ id }) => id)],
      )
    ).rows,
  })
  await waitUntil(async () => (await moved()).jobs.every((row) => row['state'] === 'completed'))
  const before = await moved()
  t.strictSame(
    before.jobs.map((row) => row['id']),
    events.map(({ id }) => id),
  )

  await heard()
  t.strictSame(await moved(), before, 'the same result again')

  clock.jumpWall(-LATER_MS)
  await heard()
  t.strictSame(await moved(), before, 'back in versions: it is to come again')
  clock.jumpWall(LATER_MS)

  await told.simulator.behave({ mode: 'stale' })
  await heard()
  t.strictSame(await moved(), before, 'an old word about its end')

  const other = truthOf(corrected)
  const differing = settled.filter(
    ({ ref }) => JSON.stringify(other.get(ref)?.result) !== JSON.stringify(truth.get(ref)?.result),
  )
  t.ok(differing.length > 0, `${differing.length} bets would have ended otherwise`)
  t.ok(events.every(({ ref }) => (other.get(ref)?.version ?? 0) > (truth.get(ref)?.version ?? 0)))
  current = corrected.client
  await heard()
  t.strictSame(await moved(), before, 'another result, in a newer version')
  t.strictSame(await moneyAstray(pool), [])
  t.match(await settling.depths(), { settle: { waiting: 0, active: 0, failed: 0 } })
})
