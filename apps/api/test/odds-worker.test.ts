// Who keeps the odds, how often the provider is asked, and what a connection is held for: on a clock that the test moves,
// with a real provider and a real database.

import { CircuitBreaker, CircuitBreakers } from '@holdfast/circuit-breaker'
import { metrics } from '@holdfast/metrics'
import { HandClock, seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { Leases } from '../src/db/leases.ts'
import { ProviderClient } from '../src/provider/provider-client.ts'
import type { Mode } from '../src/provider/simulator/mode.ts'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'
import { configuredOdds } from '../src/workers/odds/configured-odds.ts'
import { oddsMetrics } from '../src/workers/odds/odds-metrics.ts'
import { OddsWorker } from '../src/workers/odds/odds-worker.ts'
import { ProviderPace } from '../src/workers/odds/provider-pace.ts'
import { workerMetrics } from '../src/workers/worker-metrics.ts'
import { oddsDatabase, tableQueue } from './odds-database.ts'
import { OddsFleet, type OddsFleetOptions } from './odds-fleet.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(600_000)

const INTERVAL_MS = 10_000
const TWENTY = Array.from({ length: 20 }, (_, at) => `sport_${at}`)

async function fleetOf(t: Test, options: Partial<OddsFleetOptions> = {}) {
  const random = seededRandom()
  random.announce(t)
  const { url } = await oddsDatabase(t, postgres.directUrl)
  const fleet = await OddsFleet.start(t, {
    url,
    sports: TWENTY,
    intervalMs: INTERVAL_MS,
    requestsPerMinute: 600,
    random,
    ...options,
  })
  return { fleet, random }
}

t.test('a provider that answers 429 and 503 never sees more than the cap, whatever restarts', async (t) => {
  const cap = 30
  const { fleet, random } = await fleetOf(t, { requestsPerMinute: cap, sports: TWENTY.slice(0, 8) })
  fleet.launch()
  fleet.launch()
  const modes: readonly Mode[] = ['limited', 'unavailable', 'well', 'limited', 'reset', 'unavailable', 'well']
  for (const mode of [...modes, ...modes]) {
    await fleet.provider.behave({ mode, retryAfterSeconds: random.pick([0, 7, 20]) })
    await fleet.pass(random.int(40_000, 80_000), 500)
    const leaving = random.pick(fleet.processes)
    await leaving.stop()
    fleet.launch()
  }
  const { mostInAMinute, early, requests, byMode } = fleet.provider.counts()
  t.comment(JSON.stringify({ requests, mostInAMinute, early, byMode }))
  t.ok(requests > 60, `${requests} requests`)
  t.ok(mostInAMinute <= cap, `at most ${mostInAMinute} in a minute, ${cap} are allowed`)
  t.equal(early, 0, 'never before the end of a pause that it wished for')
  t.ok((byMode.limited ?? 0) > 0 && (byMode.unavailable ?? 0) > 0)
  t.strictSame(fleet.heldWrongly, [])
  await fleet.provider.behave({})
  const before = fleet.outcomes.length
  await fleet.pass(300_000)
  t.ok(fleet.outcomes.slice(before).includes('ok'), 'and it is asked again when it is well')
})

t.test(
  'of several processes one asks for each sport, and what it leaves another takes at once',
  async (t) => {
    const sports = TWENTY.slice(0, 4)
    const { fleet } = await fleetOf(t, { sports })
    const processes = [fleet.launch(), fleet.launch(), fleet.launch()]
    await fleet.pass(60_000)
    const leaders = () => sports.map((sport) => fleet.processes.filter((each) => leads(each, sport)).length)
    const leads = (each: (typeof processes)[number], sport: string) =>
      each.worker.snapshot().some((one) => one.sport === sport && one.leads)
    t.strictSame(leaders(), [1, 1, 1, 1])
    for (const process of processes.slice(0, 2)) await process.stop()
    await fleet.pass(2 * INTERVAL_MS)
    t.strictSame(leaders(), [1, 1, 1, 1])
    t.ok(fleet.pauses.some(({ after }) => after === 'follower'))
    const quiet = fleet.processes.flatMap(({ worker }) => worker.snapshot().map((one) => one.quietMs))
    t.ok(
      quiet.every((ms) => ms < 3 * INTERVAL_MS),
      quiet.join(),
    )
    t.strictSame(fleet.heldWrongly, [])
  },
)

t.test('while the breaker is open nobody asks, and a second try is within the budget', async (t) => {
  const { fleet } = await fleetOf(t, {
    sports: TWENTY.slice(0, 3),
    breaker: { failureThreshold: 5, openMs: 60_000 },
  })
  await fleet.provider.behave({ mode: 'reset' })
  fleet.launch()
  while (fleet.outcomes.length < 5) await fleet.pass(1000)
  const { requests } = fleet.provider.counts()
  t.equal(requests, 5)
  t.ok(fleet.pauses.filter(({ after }) => after === 'failed').length < 5, 'some were tried again at once')
  await fleet.pass(45_000)
  t.equal(fleet.provider.counts().requests, 5, 'open')
  await fleet.provider.behave({})
  await fleet.pass(120_000)
  t.ok(fleet.outcomes.includes('ok'))
})

/** A worker on the real clock, with a lease of its own. */
async function lonely(
  t: Test,
  pool: Awaited<ReturnType<typeof oddsDatabase>>['pool'],
  provider: ProviderSimulator,
  name: string,
  clock?: HandClock,
) {
  const leases = new Leases({ pool, owner: name, leaseMs: 400, ...(clock !== undefined && { clock }) })
  const client = new ProviderClient({ url: provider.url })
  const log: string[] = []
  const gate = { open: Promise.resolve(), answered: 0 }
  const worker = new OddsWorker({
    pool,
    leases,
    provider: {
      feed: async (sport, context) => {
        const feed = await client.feed(sport, context)
        gate.answered += 1
        await gate.open
        return feed
      },
    },
    pace: new ProviderPace({ pool, provider: 'p', requestsPerMinute: 6000 }),
    breaker: new CircuitBreaker('p'),
    queue: tableQueue,
    sports: ['chess'],
    intervalMs: 40,
    log: { debug: (_, message) => void log.push(message), warn: (_, message) => void log.push(message) },
  })
  t.teardown(async () => {
    await worker.stop()
    await leases.close()
    await client.close()
  })
  return { worker, gate, log, leases }
}

t.test('whoever was paused while he asked saves nothing when he wakes up', async (t) => {
  const { pool } = await oddsDatabase(t, postgres.directUrl)
  const provider = await ProviderSimulator.start()
  t.teardown(() => provider.close())
  // Nobody renews his lease, and he does not notice that it is over.
  const paused = await lonely(t, pool, provider, 'paused', new HandClock())
  const { promise, resolve: wake } = Promise.withResolvers<void>()
  paused.gate.open = promise
  paused.worker.start()
  await waitUntil(() => paused.gate.answered === 1)
  t.strictSame((await pool.query('select from sport_events')).rows, [])
  const other = await lonely(t, pool, provider, 'other')
  other.worker.start()
  await waitUntil(() => other.worker.snapshot()[0]?.saved === 2)
  const before = (await pool.query('select * from sport_events order by id')).rows
  await other.worker.stop()
  wake()
  await waitUntil(() => (paused.worker.snapshot()[0]?.failures ?? 0) > 0)
  t.equal(paused.worker.snapshot()[0]?.saved, 0)
  t.strictSame((await pool.query('select * from sport_events order by id')).rows, before)
})

t.test('a worker of the settings asks, saves, counts, and stops', async (t) => {
  const { pool } = await oddsDatabase(t, postgres.directUrl)
  const provider = await ProviderSimulator.start({ behaviour: { mode: 'invalid' } })
  t.teardown(() => provider.close())
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(metrics, { runtime: false })
  const leases = new Leases({ pool, owner: 'a' })
  t.teardown(() => leases.close())
  const breakers = new CircuitBreakers()
  const log: string[] = []
  const refusals: object[] = []
  const config = {
    oddsProviderUrl: provider.url,
    oddsSports: ['chess', 'golf', 'football'],
    oddsIntervalMs: 50,
    oddsRequestsPerMinute: 6000,
    oddsTimeoutMs: 5000,
  }
  const parts = {
    pool,
    leases,
    queue: tableQueue,
    breakers,
    log: {
      debug: (_: object, message: string) => void log.push(message),
      warn: (fields: object, message: string) => {
        log.push(message)
        refusals.push(fields)
      },
    },
    countFetch: oddsMetrics(app.metrics),
    workerMetrics: workerMetrics(app.metrics),
  }
  t.equal(configuredOdds({ ...parts, config: { ...config, oddsProviderUrl: undefined } }), undefined)
  const odds = configuredOdds({ ...parts, config })
  odds?.start()
  await waitUntil(() => (odds?.snapshot().find(({ sport }) => sport === 'chess')?.saved ?? 0) >= 8)
  t.match(odds?.snapshot(), [
    { sport: 'chess', leads: true, failures: 0 },
    // The provider knows none.
    { sport: 'golf', leads: true, saved: 0, failures: /\d/ },
    { sport: 'football', leads: true },
  ])
  await odds?.stop()
  t.equal(odds?.snapshot()[0]?.state, 'stopped')
  t.equal(breakers.get('odds-provider')?.name, 'odds-provider')
  t.strictSame(leases.held, [], 'the sports are given back')
  t.ok(log.includes('odds saved'))
  t.ok(log.some((line) => /events of the provider cannot be used/.test(line)))
  const told = refusals.filter((fields) => (fields as { sport?: unknown }).sport === 'chess')
  t.match(told, [{ sport: 'chess', refused: Number, first: [{ at: 0, ref: undefined, why: /^id / }] }])
  // An event may have come or gone meanwhile.
  t.ok(told.length <= 2, `the same is not said at each of 8 rounds, but ${told.length} times`)
  const text = await app.metrics.scrape()
  t.match(text, /^odds_fetches_total\{outcome="partial"\} [1-9]/m)
  t.match(text, /^odds_fetches_total\{outcome="unreadable"\} [1-9]/m)
  t.match(text, /^worker_last_success_timestamp_seconds\{worker="odds\/chess"\} 1[\d.e+]+$/m)
  t.match(text, /^worker_connection_hold_seconds_count\{worker="odds"\} [1-9]/m)
})
