import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'
import { ServiceProcess } from './service-process.ts'

const ADMIN_TOKEN = 'a-token-of-the-operators-of-this-test'
const ADMIN = { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } }
const PROVIDER = 'http://127.0.0.1:1'

t.test('process types', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())

  const startAs = async (t: Test, PROCESS_TYPE: string) =>
    ServiceApp.start(t, {
      DATABASE_URL: await demoDatabase(server.url),
      ENABLE_METRICS: 'true',
      METRICS_TOKEN: ADMIN_TOKEN,
      ODDS_PROVIDER_URL: PROVIDER,
      PROCESS_TYPE,
    })
  const workersAt = async (url: string) => {
    const body = (await (await fetch(`${url}/health/check`, ADMIN)).json()) as {
      reports: { workers: object }
    }
    return Object.keys(body.reports.workers)
  }

  const types = {
    all: ['bots', 'odds', 'settlement', 'jobs'],
    web: ['jobs'],
    worker_bots: ['bots', 'jobs'],
    worker_odds: ['odds', 'jobs'],
    worker_settlement: ['settlement', 'jobs'],
  }
  for (const [type, workers] of Object.entries(types)) {
    t.test(`${type} has its own work, and what every process has`, async (t) => {
      const { url } = await startAs(t, type)
      t.strictSame(await workersAt(url), workers)
      const serves = type === 'all' || type === 'web'
      t.equal((await fetch(`${url}/acme/api/public/load-theme`)).status, serves ? 200 : 404)
      t.equal((await fetch(`${url}/api/bets`)).status, serves ? 401 : 404)
      t.equal((await fetch(`${url}/healthz`)).status, 200)
      t.equal((await fetch(`${url}/admin/audit`)).status, 401)
      t.equal((await fetch(`${url}/admin/audit`, ADMIN)).status, 200)
      const metrics = await (await fetch(`${url}/metrics`, ADMIN)).text()
      t.match(metrics, `db_pool_usage_percent{process_type="${type === 'all' ? 'web' : type}"`)
    })
  }

  t.test('a worker ends with a signal, and gives back what it had', async (t) => {
    const url = await demoDatabase(server.url)
    const pool = testPool(url)
    t.teardown(() => pool.end())
    const heldNow = async () =>
      (await pool.query('select name from leases where expires_at > clock_timestamp() order by name')).rows
    const environment = { DATABASE_URL: url, ODDS_PROVIDER_URL: PROVIDER, ODDS_SPORTS: 'chess,darts' }
    const workers = ['worker_bots', 'worker_odds', 'worker_settlement'].map((PROCESS_TYPE) =>
      ServiceProcess.spawn(t, { ...environment, PROCESS_TYPE, ODDS_INTERVAL: '2s' }),
    )
    // One that runs bots, two sports.
    await waitUntil(async () => (await heldNow()).length === 3, { timeoutMs: 30_000 })
    await Promise.all(workers.map(({ url }) => waitUntil(() => url !== '')))
    for (const worker of workers) worker.kill('SIGTERM')
    for (const worker of workers) t.strictSame(await worker.ended, { code: 0, signal: null }, worker.stderr)
    t.strictSame(await heldNow(), [])
  })
})
