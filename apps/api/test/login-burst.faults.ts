// 500 people sign in at once: what everybody else sees of it, and the database.

import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { Pool } from 'undici'
import { testPool } from './fresh-database.ts'
import { ProbeThread } from './probe-thread.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'
import { ask, credentialsOf, demoAccounts } from './sign-in-client.ts'

t.setTimeout(180_000)

const TOKEN = 'a-token-of-this-test'
const BURST = 500
const PROBE_EVERY_MS = 5

interface Details {
  readonly reports: {
    readonly sign_in: { readonly passwords: { readonly mostWaiting: number; readonly waiting: number } }
  }
}

t.test('500 sign-ins at once are bounded, take no connections, and nobody else waits', async (t) => {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  t.teardown(() => Promise.all([postgres.stop(), redis.stop()]))
  const dataDirectory = scratchDirectory(t)
  const { url } = await ServiceProcess.start(t, {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    DATA_DIRECTORY: dataDirectory,
    METRICS_TOKEN: TOKEN,
    RATE_LIMITS_SIGN_IN: '100000/minute',
    RATE_LIMITS_ACCOUNT: '100000/minute',
    RATE_LIMITS_SIGN_IN_ADDRESS: '100000/minute',
  })
  const details = async () => {
    const { body } = await ask(url, 'GET', '/health/check', undefined, { authorization: `Bearer ${TOKEN}` })
    return (body as unknown as Details).reports.sign_in.passwords
  }
  const trader = credentialsOf(demoAccounts(dataDirectory), 'user')
  const client = new Pool(url, { connections: BURST, pipelining: 1 })
  t.teardown(() => client.close())
  const login = async (mode: string) => {
    const { statusCode, headers, body } = await client.request({
      method: 'POST',
      path: '/auth/login',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...trader, mode }),
    })
    await body.dump()
    return { status: statusCode, retryAfter: headers['retry-after'] }
  }
  const sql = testPool(postgres.directUrl, 1)
  t.teardown(() => sql.end())
  const connections = async () =>
    Number(
      (await sql.query(`select count(*) from pg_stat_activity where application_name like 'holdfast-api%'`))
        .rows[0]?.['count'],
    )
  // A service that has run for a while: code that never ran is slow.
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(Array.from({ length: 20 }, () => login(round % 2 === 0 ? 'session' : 'token')))
  }
  await waitUntil(async () => (await login('session')).status === 200)
  t.ok((await connections()) > 0, 'they can be counted')

  for (const mode of ['session', 'token']) {
    // What the start, or the burst before, has opened is closed again.
    await waitUntil(async () => (await connections()) <= 3, { timeoutMs: 60_000, intervalMs: 100 })
    const before = await connections()
    let most = before
    let running = true
    const watch = (async () => {
      while (running) {
        most = Math.max(most, await connections())
        await sleep(PROBE_EVERY_MS)
      }
    })()
    const probe = await ProbeThread.start({ url, path: '/healthz', everyMs: PROBE_EVERY_MS })
    const answers = await Promise.all(Array.from({ length: BURST }, () => login(mode)))
    running = false
    const [latenciesMs] = await Promise.all([probe.stop(), watch])
    const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length
    const at = (share: number) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0
    const { mostWaiting, waiting } = await details()
    t.comment(
      `${mode}: ${count(200)} signed in, ${count(503)} refused; /healthz of ${latenciesMs.length}: p50 ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms; connections ${before} before, ${most} at most; line ${mostWaiting}`,
    )
    t.equal(count(200) + count(503), BURST)
    t.ok(count(200) >= 32, 'the line was served')
    for (const { status, retryAfter } of answers) if (status === 503) t.match(retryAfter, /^\d+$/)
    t.ok(mostWaiting <= 32)
    t.equal(waiting, 0)
    t.ok(most <= before + 2, 'flat')
    // The slowest are printed: they say as much about who else uses the machine.
    t.ok(at(0.5) < 50, 'half of /healthz in less than 50 ms')
  }
})
