import { startPostgres, waitUntil } from '@holdfast/test-kit'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { CheckOptions } from '../src/index.ts'
import { appWithHealth, portOf } from './app-with-health.ts'

const intervalMs = 200

/** A service with a check against a real PostgreSQL behind a proxy, which counts the statements that pass. */
async function service(t: Test, options: Partial<CheckOptions> = {}, direct = false) {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  let statements = 0
  postgres.proxy.onClientData = (chunk) => {
    statements += chunk.toString('latin1').split('select 1').length - 1
  }
  const pool = new pg.Pool({
    connectionString: direct ? postgres.directUrl : postgres.url,
    max: 2,
    connectionTimeoutMillis: 2000,
  })
  pool.on('error', () => {})
  const app = await appWithHealth(t, {
    checks: {
      database: {
        check: async () => {
          await pool.query('select 1')
        },
        intervalMs,
        timeoutMs: 500,
        severity: 'degrading',
        minDwellMs: 0,
        ...options,
      },
    },
    authorize: () => true,
  })
  t.teardown(() => pool.end())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const base = `http://127.0.0.1:${portOf(app.server)}`
  const level = () => app.health.snapshot().checks[0]?.level
  return { app, base, postgres, level, statements: () => statements }
}

/** The slowest of `count` answers to `/healthz` and `/readyz`, and the statuses seen. */
async function probe(base: string, count: number): Promise<{ slowestMs: number; statuses: number[] }> {
  const statuses = new Set<number>()
  let slowestMs = 0
  for (let index = 0; index < count; index += 1) {
    const startMs = performance.now()
    const response = await fetch(base + (index % 2 === 0 ? '/healthz' : '/readyz'))
    await response.text()
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
    statuses.add(response.status)
  }
  return { slowestMs, statuses: [...statuses] }
}

t.test('1,000 probes cause no statement of their own: at most one per interval', async (t) => {
  const { base, level, statements } = await service(t)
  await waitUntil(() => level() === 'healthy')
  const before = statements()
  const startMs = performance.now()
  const { statuses } = await probe(base, 1000)
  const intervals = Math.ceil((performance.now() - startMs) / (intervalMs * 0.9)) + 1
  const caused = statements() - before
  t.comment(`${caused} statements in ${intervals} intervals`)
  t.ok(caused <= intervals, `${caused} statements`)
  t.strictSame(statuses, [200])
  await waitUntil(() => statements() > before, { what: 'the check itself' })
})

t.test(
  'a frozen PostgreSQL: probes stay prompt, one check is in flight, and it recovers by itself',
  async (t) => {
    const { app, base, level, postgres, statements } = await service(t)
    await waitUntil(() => level() === 'healthy')
    postgres.freeze()
    const before = statements()
    const { slowestMs, statuses } = await probe(base, 200)
    t.comment(`slowest of 200 probes ${slowestMs.toFixed(1)} ms`)
    t.strictSame(statuses, [200])
    await waitUntil(() => level() === 'unhealthy')
    t.match(app.health.snapshot().checks[0], { cause: 'hung', busy: true })
    t.match(await (await fetch(`${base}/readyz`)).json(), {
      status: 'degraded',
      checks: { database: { status: 'unhealthy' } },
    })
    t.equal((await fetch(`${base}/readyz`)).status, 200)
    t.ok(statements() - before <= 1, 'the check that hangs is the only one')
    postgres.thaw()
    await waitUntil(() => level() === 'healthy')
    t.match(await (await fetch(`${base}/readyz`)).json(), { status: 'ok' })
  },
)

t.test('a killed PostgreSQL degrades, and is healthy again after its restart', async (t) => {
  const { base, app, level, postgres } = await service(t, {}, true)
  await waitUntil(() => level() === 'healthy')
  await postgres.kill9()
  await waitUntil(() => level() === 'unhealthy')
  await waitUntil(() => app.health.snapshot().checks[0]?.code === 'ECONNREFUSED')
  const { statuses } = await probe(base, 200)
  t.strictSame(statuses, [200])
  t.match(await (await fetch(`${base}/readyz`)).json(), { status: 'degraded' })
  const body = await (await fetch(`${base}/readyz?verbose`)).text()
  t.match(body, /"code":"ECONNREFUSED"/, 'the authorised caller sees why')
  t.equal(app.health.snapshot().phase, 'serving')
  await postgres.restart()
  await waitUntil(() => level() === 'healthy', { timeoutMs: 20_000 })
})

t.test('a black-holed PostgreSQL fails a critical check, and only after three time-outs', async (t) => {
  const { app, base, level, postgres } = await service(t, { severity: 'critical' })
  await waitUntil(() => level() === 'healthy')
  const { executions } = app.health.snapshot().checks[0] ?? { executions: 0 }
  postgres.blackhole()
  await waitUntil(() => level() === 'unhealthy')
  t.match(app.health.snapshot().checks[0], { lastOutcome: 'unhealthy', changes: 2 })
  t.ok((app.health.snapshot().checks[0]?.executions ?? 0) >= executions)
  const ready = await fetch(`${base}/readyz`)
  t.equal(ready.status, 503)
  t.match(await ready.json(), { status: 'error', checks: { database: { status: 'unhealthy' } } })
  const { statuses } = await probe(base, 200)
  t.strictSame(new Set(statuses), new Set([200, 503]), '/healthz 200, /readyz 503')
  t.equal((await fetch(`${base}/livez`)).status, 200)
  await postgres.heal()
  await waitUntil(() => level() === 'healthy', { timeoutMs: 20_000 })
  t.equal((await fetch(`${base}/readyz`)).status, 200)
})
