// How often a provider may be asked, on a real database: by several processes, and over their restarts.

import { PoolGuard } from '@holdfast/pool-guard'
import { HandClock, seededRandom, startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { ProviderPace } from '../src/workers/odds/provider-pace.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function setUp(t: Test, requestsPerMinute = 61) {
  const pool = testGuard(t, await freshDatabase(postgres.directUrl), 16)
  await migrateUp(pool, migrations)
  const clock = new HandClock()
  const now = () => new Date(clock.wallMs())
  const paceOf = (provider = 'https://odds.example') =>
    new ProviderPace({ pool, provider, requestsPerMinute, clock, now })
  return { pool, clock, paceOf }
}

t.test('one request in each part of a minute, whoever asks', async (t) => {
  const { clock, paceOf } = await setUp(t)
  const one = paceOf()
  const other = paceOf()
  t.equal(one.spacingMs, 1000)
  t.equal(await one.claim(), 0)
  t.equal(await other.claim(), 1000)
  t.equal(await one.claim(), 1000)
  await clock.advance(400)
  t.equal(await other.claim(), 600)
  t.equal(await paceOf('https://other.example').claim(), 0, 'another provider has a pace of its own')
  await clock.advance(600)
  t.equal(await other.claim(), 0)
  t.equal(await one.claim(), 1000)
})

t.test('of many who want the same turn one gets it', async (t) => {
  const { clock, paceOf } = await setUp(t)
  const paces = Array.from({ length: 10 }, () => paceOf())
  for (let round = 0; round < 10; round += 1) {
    const waits = await Promise.all(paces.map((pace) => pace.claim()))
    t.equal(waits.filter((ms) => ms === 0).length, 1)
    t.ok(waits.every((ms) => ms <= 1000))
    await clock.advance(1000)
  }
})

t.test(
  'no minute sees more than the cap, however the turns are asked for and the processes restart',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const cap = 7
    const { clock, paceOf } = await setUp(t, cap)
    let paces = [paceOf(), paceOf(), paceOf()]
    const turns: number[] = []
    while (clock.nowMs() < 15 * 60_000) {
      const at = random.int(0, 2)
      if (random.next() < 0.1) paces = paces.map((pace, each) => (each === at ? paceOf() : pace))
      if ((await paces[at]?.claim()) === 0) turns.push(clock.nowMs())
      await clock.advance(random.int(1, 3000))
    }
    t.ok(turns.length > 80, `${turns.length} turns in a quarter of an hour`)
    for (const ms of turns) {
      const seen = turns.filter((other) => other >= ms && other < ms + 60_000).length
      if (seen > cap) t.fail(`${seen} in the minute after ${ms}`)
    }
  },
)

t.test('a pause that the provider wished for holds in all processes, and after a restart', async (t) => {
  const { clock, paceOf } = await setUp(t)
  const one = paceOf()
  const other = paceOf()
  await one.claim()
  await one.postpone(30_000)
  t.equal(await one.claim(), 30_000)
  t.equal(await other.claim(), 30_000)
  // A shorter one takes nothing back.
  await paceOf().postpone(10)
  await clock.advance(29_999)
  t.equal(await paceOf().claim(), 1, 'in a process that has just started')
  await clock.advance(1)
  t.equal(await paceOf().claim(), 0)
})

t.test('a turn that came with a wish in between is none', async (t) => {
  const { pool, clock } = await setUp(t)
  const pace: ProviderPace = new ProviderPace({
    pool: {
      async query(...given: Parameters<PoolGuard['query']>) {
        const answer = await pool.query(...given)
        if (given[0].includes('claimed')) void pace.postpone(5000)
        return answer as never
      },
    },
    provider: 'p',
    requestsPerMinute: 60,
    clock,
    now: () => new Date(clock.wallMs()),
  })
  t.equal(await pace.claim(), 5000)
})

t.test('a turn whose answer took too long is not used', async (t) => {
  const { pool, clock } = await setUp(t)
  const pace = new ProviderPace({
    pool: {
      async query(...given: Parameters<PoolGuard['query']>) {
        const answer = await pool.query(...given)
        await clock.advance(1001)
        return answer as never
      },
    },
    provider: 'p',
    requestsPerMinute: 61,
    clock,
    now: () => new Date(clock.wallMs()),
  })
  t.equal(await pace.claim(), 1000)
})

t.test('without the database nobody asks, and a wish is still known', async (t) => {
  const clock = new HandClock()
  const pool = new PoolGuard({ connectionString: 'postgres://nobody@127.0.0.1:1/nothing', max: 1, min: 0 })
  t.teardown(() => pool.close())
  const pace = new ProviderPace({ pool, provider: 'p', requestsPerMinute: 60, clock })
  await t.rejects(pace.claim())
  await pace.postpone(2000)
  t.equal(await pace.claim(), 2000)
})

t.test('the clock is that of the database where no other is given', async (t) => {
  const { pool } = await setUp(t)
  const pace = new ProviderPace({ pool, provider: 'p', requestsPerMinute: 1 })
  t.equal(await pace.claim(), 0)
  const waitMs = await pace.claim()
  t.ok(waitMs > 50_000 && waitMs <= 61_000, `${waitMs} ms`)
  const { rows } = await pool.query<{ ahead: boolean }>(
    'select next_request_at > clock_timestamp() as ahead from provider_pace',
  )
  t.strictSame(rows, [{ ahead: true }])
})
