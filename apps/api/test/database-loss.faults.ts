// The long form of database-loss.test.ts: every way to lose PostgreSQL under 200 requests in flight, with the times
// that requests took and what reached PostgreSQL meanwhile. `pnpm bench api` compares the times over many rounds.

import { setTimeout as sleep } from 'node:timers/promises'
import { countStatements, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { testPool } from './fresh-database.ts'
import { readiness, ServiceProcess, scratchDirectory } from './service-process.ts'
import { SteadyLoad } from './steady-load.ts'

const PATHS = [
  '/acme/api/public/load-theme',
  '/globex/api/public/load-theme',
  '/nobody/api/public/load-theme',
]
const IN_FLIGHT = 200
const PHASE_MS = 4000

t.setTimeout(600_000)

t.test(
  'whatever happens to PostgreSQL, 200 requests in flight get their themes, and as fast as before',
  async (t) => {
    const postgres = await startPostgres({ sharedPreload: ['pg_stat_statements'] })
    t.teardown(() => postgres.stop())
    const service = await ServiceProcess.start(t, {
      DATABASE_URL: postgres.url,
      DATA_DIRECTORY: scratchDirectory(t),
      THEME_REFRESH_INTERVAL: '250ms',
    })
    const load = new SteadyLoad(service.url, PATHS, IN_FLIGHT)
    t.teardown(() => load.stop())
    const measure = async (name: string) => {
      load.report()
      await sleep(PHASE_MS)
      const report = load.report()
      t.strictSame(report.wrong, {}, `${name}: ${report.requests} requests, nothing but 200 and 304`)
      return report
    }
    const sql = async (text: string, values: string[] = []) => {
      const pool = testPool(postgres.directUrl, 1)
      try {
        return (await pool.query(text, values)).rows
      } finally {
        await pool.end()
      }
    }
    const refreshes = async (brand: string) => {
      await sql(`update themes set theme = jsonb_build_object('brand_name', $1::text) where slug = 'acme'`, [
        brand,
      ])
      const startMs = performance.now()
      await waitUntil(
        async () => (await (await fetch(`${service.url}/acme/api/public/load-theme`)).text()).includes(brand),
        { timeoutMs: 30_000, what: `the theme "${brand}"` },
      )
      t.pass(`"${brand}" shows after ${Math.round(performance.now() - startMs)} ms`)
    }
    const faults: [name: string, begin: () => Promise<void> | void, end: () => Promise<void> | void][] = [
      ['killed', () => postgres.kill9(), () => postgres.restart()],
      ['frozen', () => postgres.freeze(), () => postgres.thaw()],
      ['restarted', () => postgres.restart(), () => {}],
      ['unreachable', () => postgres.blackhole(), () => postgres.heal()],
    ]

    await measure('warm-up')
    const count = countStatements(postgres.proxy)
    await sql('select pg_stat_statements_reset()')
    for (const [name, begin, end] of faults) {
      count.reset()
      const calm = await measure(`before being ${name}`)
      // Four questions and half a ping per second, whatever the number of requests.
      const allowed = (PHASE_MS / 1000) * 4.5 + 10
      t.ok(count.statements <= allowed, `${count.statements} statements during ${calm.requests} requests`)
      await begin()
      const disturbed = await measure(name)
      await end()
      await refreshes(name)
      const ratio = disturbed.p99Ms / calm.p99Ms
      t.comment(
        `${name}: p99 ${calm.p99Ms.toFixed(1)} ms before, ${disturbed.p99Ms.toFixed(1)} ms during (${ratio.toFixed(2)}x); p50 ${calm.p50Ms.toFixed(1)} and ${disturbed.p50Ms.toFixed(1)} ms`,
      )
    }
    const statements = await sql(
      `select query, calls from pg_stat_statements where query ~* 'themes|tenants'
        and query !~* '^update|pg_stat' and query !~* 'sessions_valid_after' order by calls desc`,
    )
    const kinds = statements.map(({ query }) => String(query))
    t.ok(kinds.length <= 3, `only the sweep's statements touch themes: ${kinds.length} kinds`)
    await load.stop()
    t.strictSame(await service.stop(), { code: 0, signal: null })
  },
)

t.test(
  'probes answer as before while PostgreSQL is frozen, and cost at most one query per interval',
  async (t) => {
    const postgres = await startPostgres()
    t.teardown(() => postgres.stop())
    const service = await ServiceProcess.start(t, {
      DATABASE_URL: postgres.url,
      DATA_DIRECTORY: scratchDirectory(t),
      THEME_REFRESH_INTERVAL: '1h',
    })
    const load = new SteadyLoad(service.url, ['/healthz'], 20)
    t.teardown(() => load.stop())
    await sleep(2000)
    load.report()
    await sleep(4000)
    const calm = load.report()
    postgres.freeze()
    await sleep(500)
    load.report()
    await sleep(8000)
    const frozen = load.report()
    t.strictSame([calm.wrong, frozen.wrong], [{}, {}])
    t.comment(
      `/healthz p99 ${calm.p99Ms.toFixed(2)} ms before, ${frozen.p99Ms.toFixed(2)} ms frozen (${(frozen.p99Ms / calm.p99Ms).toFixed(2)}x)`,
    )
    await waitUntil(async () => (await readiness(service.url)).status === 'degraded', { timeoutMs: 30_000 })
    t.equal((await readiness(service.url)).code, 200)
    postgres.thaw()
    await load.stop()

    await waitUntil(async () => (await readiness(service.url)).status === 'ok', { timeoutMs: 30_000 })
    const count = countStatements(postgres.proxy)
    postgres.proxy.reset()
    const probes = new SteadyLoad(service.url, ['/readyz', '/healthz', '/livez'], 10)
    t.teardown(() => probes.stop())
    await sleep(6000)
    const { requests, wrong } = probes.report()
    await probes.stop()
    t.strictSame(wrong, {})
    t.ok(requests > 1000, `${requests} probe calls`)
    t.ok(count.statements <= 5, `${count.statements} statements in three intervals`)
    t.strictSame(await service.stop(), { code: 0, signal: null })
  },
)
