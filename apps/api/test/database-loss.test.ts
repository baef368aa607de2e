// What requests see while PostgreSQL is killed, frozen and restarted, in short; database-loss.faults.ts is the
// long form, which measures times, too.

import { setTimeout as sleep } from 'node:timers/promises'
import { countStatements, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { testPool } from './fresh-database.ts'
import { brandOf, readiness, ServiceProcess, scratchDirectory } from './service-process.ts'
import { SteadyLoad } from './steady-load.ts'

t.setTimeout(300_000)

const PATHS = [
  '/acme/api/public/load-theme',
  '/globex/api/public/load-theme',
  '/nobody/api/public/load-theme',
]
const PHASE_MS = 700

t.test(
  'with 200 requests in flight, PostgreSQL is killed, restarted, frozen and thawed: nobody notices',
  async (t) => {
    const postgres = await startPostgres()
    t.teardown(() => postgres.stop())
    const service = await ServiceProcess.start(t, {
      DATABASE_URL: postgres.url,
      DATA_DIRECTORY: scratchDirectory(t),
      DB_CONN_TIMEOUT: '2s',
      DB_STATEMENT_TIMEOUT: '2s',
    })
    const { url } = service
    await waitUntil(async () => (await brandOf(url, 'acme')) === 'Acme Markets', { timeoutMs: 60_000 })
    const count = countStatements(postgres.proxy)
    const load = new SteadyLoad(url, PATHS, 200)
    t.teardown(() => load.stop())
    const phase = async (name: string) => {
      await sleep(PHASE_MS)
      await waitUntil(() => load.requests > 200, { what: `${name}: the load` })
      const { requests, wrong } = load.report()
      t.strictSame(wrong, {}, `${name}: ${requests} requests, all 200 or 304`)
    }
    const setBrand = async (brand: string) => {
      const sql = testPool(postgres.directUrl, 1)
      await sql.query(
        `update themes set theme = jsonb_build_object('brand_name', $1::text) where slug = 'acme'`,
        [brand],
      )
      await sql.end()
    }

    count.reset()
    const startMs = performance.now()
    await phase('undisturbed')
    const elapsedMs = performance.now() - startMs
    // One question per 100 ms, one ping per 2 s, and what was under way: nothing that grows with the requests.
    t.ok(count.statements <= elapsedMs / 100 + elapsedMs / 2000 + 4, `${count.statements} statements`)

    await postgres.kill9()
    await phase('killed')
    await waitUntil(async () => (await readiness(url)).status === 'degraded')
    t.equal((await readiness(url)).code, 200)
    t.equal(await brandOf(url, 'acme'), 'Acme Markets')

    await postgres.restart()
    await phase('restarted')
    await setBrand('After the restart')
    await waitUntil(async () => (await brandOf(url, 'acme')) === 'After the restart', { timeoutMs: 60_000 })

    postgres.freeze()
    await phase('frozen')
    postgres.thaw()
    await phase('thawed')
    await setBrand('After the thaw')
    await waitUntil(async () => (await brandOf(url, 'acme')) === 'After the thaw', { timeoutMs: 60_000 })

    postgres.blackhole()
    await phase('unreachable')
    await postgres.heal()
    await setBrand('After the black hole')
    await waitUntil(async () => (await brandOf(url, 'acme')) === 'After the black hole')
    await load.stop()
    // A busy machine may be slow enough to be called degraded.
    await waitUntil(async () => {
      const { checks } = (await (await fetch(`${url}/readyz`)).json()) as {
        checks?: { database?: { status: string } }
      }
      return checks?.database?.status !== 'unhealthy'
    })

    t.strictSame(await service.stop(), { code: 0, signal: null })
  },
)

t.test('restarted while PostgreSQL stays dead, the service serves the last known good themes', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const environment = { DATABASE_URL: postgres.url, DATA_DIRECTORY: scratchDirectory(t) }
  const sql = testPool(postgres.directUrl, 1)
  const before = await ServiceProcess.start(t, environment)
  await sql.query(`update themes set theme = '{"brand_name": "Not the seed"}' where slug = 'acme'`)
  await sql.end()
  await waitUntil(async () => (await brandOf(before.url, 'acme')) === 'Not the seed')
  t.strictSame(await before.stop('SIGINT'), { code: 0, signal: null })

  await postgres.kill9()
  const after = await ServiceProcess.start(t, environment)
  t.equal(await brandOf(after.url, 'acme'), 'Not the seed')
  t.equal(await brandOf(after.url, 'globex'), 'Globex Exchange')
  const answer = await fetch(`${after.url}/acme/api/public/load-theme`)
  t.equal(answer.headers.get('cache-control'), 'public, max-age=30, stale-while-revalidate=60')
  t.equal((await fetch(`${after.url}/healthz`)).status, 200)
  await waitUntil(async () => (await readiness(after.url)).status === 'degraded')
  t.equal((await readiness(after.url)).code, 200)

  await postgres.restart()
  await waitUntil(async () => {
    const { headers } = await fetch(`${after.url}/acme/api/public/load-theme`)
    return headers.get('cache-control') === 'public, max-age=300, stale-while-revalidate=60'
  })
  t.equal(await brandOf(after.url, 'acme'), 'Not the seed')
  t.strictSame(await after.stop(), { code: 0, signal: null })
})

t.test(
  'a database that is dead at the very first start is migrated and seeded as soon as it lives',
  async (t) => {
    const postgres = await startPostgres()
    t.teardown(() => postgres.stop())
    await postgres.kill9()
    const startMs = performance.now()
    const service = await ServiceProcess.start(t, {
      DATABASE_URL: postgres.url,
      DATA_DIRECTORY: scratchDirectory(t),
    })
    t.comment(`started in ${Math.round(performance.now() - startMs)} ms`)
    t.equal(await brandOf(service.url, 'acme'), 'Holdfast', 'the default theme')
    await postgres.restart()
    await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Acme Markets')
    t.strictSame(await service.stop(), { code: 0, signal: null })
  },
)

t.test('a database that does not answer does not hold up the start', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  postgres.blackhole()
  const service = await ServiceProcess.start(t, {
    DATABASE_URL: postgres.url,
    DATA_DIRECTORY: scratchDirectory(t),
    DB_CONN_TIMEOUT: '500ms',
  })
  t.equal((await fetch(`${service.url}/healthz`)).status, 200)
  await postgres.heal()
  await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Acme Markets')
  t.strictSame(await service.stop(), { code: 0, signal: null })
})
