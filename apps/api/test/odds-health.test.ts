// What the health of the service says about odds, by snapshots alone.

import { seededRandom, startPostgres } from '@holdfast/test-kit'
import t from 'tap'
import { oddsHealth } from '../src/workers/odds/odds-health.ts'
import type { OddsSportSnapshot } from '../src/workers/odds/odds-worker.ts'
import { oddsDatabase } from './odds-database.ts'
import { OddsFleet } from './odds-fleet.ts'

const WELL: OddsSportSnapshot = {
  sport: 'chess',
  leads: true,
  state: 'pausing',
  rounds: 9,
  saved: 9,
  failures: 0,
  quietMs: 1000,
}

t.test('a sport is degraded after three failures, or four intervals without a save', (t) => {
  const of = (...sports: Partial<OddsSportSnapshot>[]) =>
    oddsHealth(
      sports.map((sport) => ({ ...WELL, ...sport })),
      15_000,
    )
  t.match(of(), { status: 'healthy' })
  t.match(of({ failures: 2, quietMs: 60_000 }), {
    status: 'healthy',
    data: { leads: ['chess'], failing: [], stale: [] },
  })
  t.match(of({ failures: 3 }, { sport: 'golf' }), {
    status: 'degraded',
    reason: 'the odds of chess could not be read or saved 3 times in a row',
    data: { failing: ['chess'], stale: [] },
  })
  t.match(of({ quietMs: 61_900 }, { sport: 'golf', failures: 4, quietMs: 70_000, leads: false }), {
    status: 'degraded',
    reason:
      'the odds of golf could not be read or saved 3 times in a row; no odds were saved of chess for 61 s, golf for 70 s',
    data: {
      leads: ['chess'],
      failing: ['golf'],
      stale: [{ sport: 'chess', seconds: 61 }, { sport: 'golf' }],
    },
  })
  t.end()
})

t.test('a provider that is down shows', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const random = seededRandom()
  random.announce(t)
  const { url } = await oddsDatabase(t, postgres.directUrl)
  const intervalMs = 10_000
  const fleet = await OddsFleet.start(t, {
    url,
    sports: ['chess', 'golf', 'tennis', 'football'],
    intervalMs,
    requestsPerMinute: 600,
    random,
    breaker: { failureThreshold: 5, openMs: 30_000 },
  })
  const { worker } = fleet.launch()
  const health = () => oddsHealth(worker.snapshot(), intervalMs)
  await fleet.pass(30_000)
  t.equal(health().status, 'healthy')
  await fleet.provider.behave({ mode: 'unavailable', retryAfterSeconds: 0 })
  await fleet.pass(70_000)
  t.match(health(), { status: 'degraded', data: { stale: { length: 4 } } })
  await fleet.provider.behave({ mode: 'limited', retryAfterSeconds: 20 })
  await fleet.pass(200_000)
  t.match(health(), { status: 'degraded', data: { stale: { length: 4 } } }, 'a pause that is wished for, too')
  await fleet.provider.behave({})
  await fleet.pass(300_000)
  t.match(health(), { status: 'healthy' })
})
