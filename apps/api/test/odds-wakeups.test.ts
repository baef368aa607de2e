// How often the provider is asked, what a connection is held for, and what is true in the end: over thousands of wake-ups
// on a clock that the test moves, with a real provider and a real database.

import { seededRandom, startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import type { Mode } from '../src/provider/simulator/mode.ts'
import { oddsDatabase } from './odds-database.ts'
import { OddsFleet, type OddsFleetOptions } from './odds-fleet.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(280_000)

const INTERVAL_MS = 10_000
const WAKE_UPS = 2000
const STEP_MS = 500
const TWENTY = Array.from({ length: 20 }, (_, at) => `sport_${at}`)

async function fleetOf(t: Test, options: Partial<OddsFleetOptions> = {}) {
  const random = seededRandom()
  random.announce(t)
  const { url, pool } = await oddsDatabase(t, postgres.directUrl)
  const fleet = await OddsFleet.start(t, {
    url,
    sports: TWENTY,
    intervalMs: INTERVAL_MS,
    // Time moves in steps, and those that wake up in one step are to have their turns in it, too.
    requestsPerMinute: 6000,
    random,
    ...options,
  })
  return { fleet, pool, random }
}

t.test('2,000 wake-ups: spread at first, at random later, and no connection but for a save', async (t) => {
  const { fleet, pool } = await fleetOf(t)
  fleet.launch()
  const regular = () => fleet.pauses.filter(({ after }) => after === 'saved')
  while (regular().length < WAKE_UPS) await fleet.pass(5000, STEP_MS)

  const spreadOf = (moments: readonly number[]) => (Math.max(...moments) - Math.min(...moments)) / INTERVAL_MS
  const planned = fleet.pauses.filter(({ after }) => after === 'first').map(({ ms }) => ms)
  t.equal(planned.length, 20)
  t.ok(spreadOf(planned) >= 0.8, `first wake-ups are spread over ${spreadOf(planned)} of the interval`)
  const asked = [...fleet.firstAskedMs.values()]
  t.equal(asked.length, 20)
  t.ok(spreadOf(asked) >= 0.8, `the provider sees them spread over ${spreadOf(asked)} of the interval`)

  const shares = regular().map(({ ms }) => ms / INTERVAL_MS)
  t.ok(shares.every((share) => share >= 0.5 && share <= 1.5))
  t.ok(Math.min(...shares) < 0.52 && Math.max(...shares) > 1.48, 'all of 50 to 150 %')
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
  t.ok(mean > 0.97 && mean < 1.03, `${mean} of the interval on average`)
  const others = fleet.pauses.filter(({ after }) => !['first', 'saved', 'waited'].includes(after))
  t.strictSame(others, [], 'every other one only waited for its turn')

  t.strictSame(fleet.heldWrongly, [], 'neither during a pause nor while the provider is asked')
  const { requests, mostInAMinute } = fleet.provider.counts()
  t.ok(requests >= WAKE_UPS && mostInAMinute <= 6000)
  const { rows } = await pool.query('select count(distinct sport)::int as sports from sport_events')
  t.strictSame(rows, [{ sports: 20 }])
  t.comment(
    JSON.stringify({
      rounds: shares.length,
      requests,
      mostInAMinute,
      least: Math.min(...shares),
      most: Math.max(...shares),
      mean,
      firsts: spreadOf(asked),
    }),
  )
})

t.test('whatever a provider tells in between, in the end there is what is true', async (t) => {
  const sports = ['chess', 'football']
  const { fleet, pool, random } = await fleetOf(t, {
    sports,
    fixture: { everyMs: 60_000, openMs: 600_000, lastsMs: 30_000, oddsTickMs: 1000 },
    breaker: { failureThreshold: 5, openMs: 20_000 },
  })
  fleet.launch()
  const wrong: readonly Mode[] = [
    'invalid',
    'stale',
    'unknown_fields',
    'huge',
    'truncated',
    'wrong_type',
    'not_json',
  ]
  for (const mode of random.shuffle(wrong)) {
    await fleet.provider.behave({ mode })
    await fleet.pass(60_000, STEP_MS)
    await fleet.provider.behave({})
    await fleet.pass(200_000, STEP_MS)
  }
  for (const outcome of ['ok', 'partial', 'unreadable', 'unavailable'] as const) {
    t.ok(fleet.outcomes.includes(outcome), outcome)
  }
  const { rows } = await pool.query<{
    sport: string
    ref: string
    name: string
    status: string
    result: unknown
  }>('select sport, provider_ref as ref, name, status, result from sport_events order by sport, starts_at')
  const isOver = ({ status }: { readonly status: string }) => status === 'finished' || status === 'void'
  const ended = rows.filter(isOver)
  t.ok(rows.length > 50, `${rows.length} events`)
  t.ok(ended.length > 20, `${ended.length} are over`)
  for (const sport of sports) {
    const truth = new Map(fleet.provider.truth(sport).events.map((event) => [event.id, event]))
    for (const { ref, name, status, result } of rows.filter((row) => row.sport === sport)) {
      const event = truth.get(ref)
      if (event === undefined) continue
      // An event that ends keeps the name that it had.
      if (isOver({ status })) t.match(event, { status, ...(status === 'finished' && { result }) }, ref)
      else t.equal(name, event.name, 'nothing that was stale')
    }
  }
  const { rows: jobs } = await pool.query<{ key: string }>('select key from test_jobs order by key::bigint')
  const { rows: over } = await pool.query<{ id: string }>(
    `select id from sport_events where status in ('finished', 'void') order by id`,
  )
  t.strictSame(
    jobs.map(({ key }) => key),
    over.map(({ id }) => id),
    'each has been put in for settlement, once',
  )
})
