// Several processes on one machine: all serve on one port, one that is killed comes back, and a restart replaces each
// while clients notice nothing.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { freshDatabase } from './fresh-database.ts'
import { isAlive } from './is-alive.ts'
import { exchange } from './raw-exchange.ts'
import { brandOf, PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'
import { growing, pidsOf, readingOf, scrape, startWorkers, TOKEN, workerPids } from './worker-fleet.ts'

t.setTimeout(600_000)

const CLEAN = { code: 0, signal: null }
const THEMES = 'http_requests_total{method="GET",route="/:tenant/api/public/load-theme",status="200"}'
const BUSY = new URL('./busy-on-signal.ts', import.meta.url).href

t.test('workers serve on one port, come back, are replaced in turn, and end together', async (t) => {
  const service = await startWorkers(t, 2, {
    // The client keeps its connection: an instance that goes has to tell it first.
    SHUTDOWN_DRAIN: '3s',
    SHUTDOWN_MIN_DRAIN: '500ms',
  })
  const before = pidsOf(service)
  const { url } = service
  // On a busy machine the database may not have answered yet.
  await waitUntil(async () => (await brandOf(url, 'acme')) === 'Acme Markets')
  t.match(service.stderr, /^Holdfast API\n +service +http/m, 'one screen for a person')
  t.equal(service.stderr.match(/Holdfast API/g)?.length, 1)
  const numbers = [...service.stdout.matchAll(/"worker":(\d),"pid":(\d+)/g)]
  t.strictSame([...new Set(numbers.map(([, number]) => number))].sort(), ['1', '2'])
  t.strictSame(new Set(numbers.map(([, , pid]) => Number(pid))), new Set(before))

  const [first = 0] = before
  process.kill(first, 'SIGKILL')
  await waitUntil(() => service.stdout.includes('a worker has ended'))
  t.equal(await brandOf(url, 'acme'), 'Acme Markets', 'the other one serves')
  await waitUntil(() => service.stdout.includes('a worker serves again'), { timeoutMs: 60_000 })

  // Whoever comes to a port that is taken says which.
  for (const [name, taken] of [
    ['MANAGEMENT_PORT', service.managementUrl],
    ['API_PORT', url],
  ] as const) {
    const other = ServiceProcess.spawn(t, {
      API_WORKERS: '2',
      REDIS_URL: 'redis://127.0.0.1:1',
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
      DATA_DIRECTORY: scratchDirectory(t),
      [name]: new URL(taken).port,
    })
    t.match(await other.ended, { code: 1 })
    t.match(other.stderr, new RegExp(`cannot listen on 127.0.0.1:\\d+: .*EADDRINUSE.*${name}`))
  }

  const failures: string[] = []
  let asked = 0
  let going = true
  const client = (async () => {
    while (going) {
      asked += 1
      // Probes are on a connection of their own each: none is given to who is on its way down.
      for (const [path, headers] of [
        ['/acme/api/public/load-theme', {}],
        ['/readyz', { connection: 'close' }],
      ] as const) {
        const answer = await fetch(url + path, { headers }).catch((error: Error) => error)
        if (answer instanceof Error) failures.push(`${path}: ${answer.cause}`)
        else if (answer.status !== 200) failures.push(`${path}: ${answer.status} ${await answer.text()}`)
        else await answer.body?.cancel()
      }
    }
  })()
  service.kill('SIGHUP')
  await waitUntil(() => service.stdout.includes('all workers are replaced'), { timeoutMs: 120_000 })
  going = false
  await client
  t.comment(`${asked} themes and as many probes`)
  t.strictSame(failures, [])
  t.ok(asked > 10)
  const after = pidsOf(service)
  t.equal(after.length, 2)
  t.notOk(after.some((pid) => before.includes(pid)))

  t.strictSame(await service.stop('SIGINT'), CLEAN)
  t.notOk(after.some(isAlive), 'its workers have ended with it')
})

t.test('the port of the inside answers for all of them, whatever one of them does', async (t) => {
  const service = await startWorkers(t, 2, { NODE_OPTIONS: `--import=${BUSY}` })
  const { managementUrl, url } = service
  const newest = () => workerPids(service).filter(isAlive).at(-1) ?? 0
  const cameBack = (times: number) =>
    waitUntil(() => service.stdout.match(/a worker serves again/g)?.length === times, { timeoutMs: 60_000 })
  const ask = (path: string, init: RequestInit = {}) => fetch(`${managementUrl}${path}`, init)
  const details = await ask('/health/check')
  t.equal(details.status, 200)
  t.match(await details.json(), { reports: { pools: [{ max: 10 }] } }, 'each has its part of the pool')
  t.equal(details.headers.get('x-content-type-options'), 'nosniff')
  t.match(details.headers.get('x-correlation-id'), /^[0-9a-f-]{36}$/)
  const head = await ask('/livez', { method: 'HEAD' })
  t.strictSame([head.status, await head.text()], [200, ''])
  t.equal((await ask('/nothing')).status, 404)
  const post = await ask('/livez', { method: 'POST' })
  t.strictSame([post.status, post.headers.get('allow')], [405, 'GET, HEAD, OPTIONS'])
  const [unreadable] = await exchange(
    Number(new URL(managementUrl).port),
    'GET http://[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  )
  t.equal(unreadable?.status, 400)
  t.equal((await ask('/livez')).status, 200, 'no worker has ended by it')
  const open = await ask('/metrics', { headers: { accept: 'application/openmetrics-text' } })
  t.match(open.headers.get('content-type'), /^application\/openmetrics-text/)
  t.match(await open.text(), /# EOF\n$/)

  // Whichever worker is asked on the main port tells of all, too.
  await waitUntil(async () => {
    const main = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
    return (await main.text()).includes('metrics_workers{state="live"} 2\n')
  })

  const operator = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const turn = (to: string, body: object) =>
    fetch(`${url}/admin/lifecycle/${to}`, { method: 'POST', headers: operator, body: JSON.stringify(body) })
  const readiness = async () => (await ask('/readyz')).status
  t.equal((await turn('cordon', { reason: 'a look at its memory' })).status, 200)
  await waitUntil(async () => (await readiness()) === 503, { what: 'the cordon of all' })
  process.kill(newest(), 'SIGKILL')
  await cameBack(1)
  await waitUntil(() => (service.stdout.match(/"msg":"cordoned"/g)?.length ?? 0) === 3, {
    timeoutMs: 60_000,
    what: 'the cordon of the new one',
  })
  t.equal(await readiness(), 503, 'whoever comes is cordoned, too')
  t.equal((await turn('uncordon', {})).status, 200)
  await waitUntil(async () => (await readiness()) === 200)
  await waitUntil(() => service.stdout.match(/"msg":"uncordoned"/g)?.length === 2)

  // Counters.
  const load = async () => {
    for (let count = 0; count < 20; count += 1) {
      const answer = await fetch(`${service.url}/acme/api/public/load-theme`, {
        headers: { connection: 'close' },
      })
      await answer.body?.cancel()
    }
  }
  await load()
  await waitUntil(async () => (readingOf(await scrape(service), THEMES) ?? 0) >= 20)
  const seen = await scrape(service)
  t.match(seen, /^metrics_workers\{state="live"\} 2$/m)
  t.match(seen, /^app_info\{.*\} 1$/m, 'what all of them know is no sum')

  process.kill(newest(), 'SIGKILL')
  await waitUntil(async () => (await scrape(service)).includes('metrics_workers{state="live"} 1\n'))
  const fallen = (before: string, after: string) => {
    const values = growing(after)
    return [...growing(before)].flatMap(([series, value]) => {
      const now = values.get(series) ?? -1
      return now < value ? [`${series} fell from ${value} to ${now}`] : []
    })
  }
  const killed = await scrape(service)
  t.strictSame(fallen(seen, killed), [])
  t.ok(growing(seen).size > 50, `${growing(seen).size} series grow`)
  await waitUntil(async () => (await scrape(service)).includes('metrics_workers{state="live"} 2\n'), {
    timeoutMs: 60_000,
  })
  await cameBack(2)
  const back = await scrape(service)
  t.strictSame(fallen(killed, back), [], 'nor when its successor begins at 0')

  process.kill(newest(), 'SIGUSR2')
  await waitUntil(async () => (await scrape(service)).includes('metrics_workers{state="stale"} 1\n'), {
    timeoutMs: 6000,
    what: 'a worker that is busy',
  })
  const times: number[] = []
  for (let count = 0; count < 20; count += 1) {
    const sinceMs = performance.now()
    const text = await scrape(service)
    times.push(performance.now() - sinceMs)
    t.strictSame(fallen(back, text), [])
  }
  t.comment(`scrapes while a worker is busy: ${times.map((ms) => ms.toFixed(1)).join(' ')} ms`)
  t.ok(Math.max(...times) < 2000, 'it is not waited for')
  await waitUntil(async () => (await fetch(`${service.managementUrl}/readyz`)).status === 200, {
    timeoutMs: 8000,
    what: 'the other one to speak for the instance',
  })
  t.match(await scrape(service), /^metrics_workers\{state="stale"\} 1$/m, 'while it is still busy')

  // The busy one, too, ends when its primary has gone.
  const pids = workerPids(service).filter(isAlive)
  t.equal(pids.length, 2)
  service.kill('SIGKILL')
  await waitUntil(() => !pids.some(isAlive), { timeoutMs: 90_000, what: 'the end of the workers' })
})

t.test('each worker has files of its own', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const DATABASE_URL = await freshDatabase(postgres.directUrl)
  const logs = scratchDirectory(t)
  const environment = { DATABASE_URL, DATA_DIRECTORY: scratchDirectory(t) }
  const prepared = await ServiceProcess.start(t, environment)
  await prepared.stop()
  const service = await startWorkers(t, 2, { ...PRODUCTION, ...environment, LOG_DIRECTORY: logs })
  await service.stop()
  const names = ['app', 'app-1', 'app-2']
  t.strictSame(readdirSync(logs).sort(), names.flatMap((name) => [`${name}.error.log`, `${name}.log`]).sort())
  for (const [index, name] of names.entries()) {
    const lines = readFileSync(join(logs, `${name}.log`), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { worker?: number; msg: string })
    t.ok(lines.every(({ worker }) => worker === (index === 0 ? undefined : index)))
    t.ok(lines.some(({ msg }) => msg === 'closed'))
  }
})

t.test('a signal while the workers begin ends all of it in order', async (t) => {
  const service = ServiceProcess.spawn(t, {
    API_WORKERS: '2',
    REDIS_URL: 'redis://127.0.0.1:1',
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
    DATA_DIRECTORY: scratchDirectory(t),
  })
  const forked = () => readFileSync(`/proc/${service.pid}/task/${service.pid}/children`, 'utf8').split(' ')
  await waitUntil(() => forked().length > 2, { timeoutMs: 60_000, intervalMs: 1, what: 'two workers' })
  t.strictSame(await service.stop(), CLEAN, service.stdout)
})

t.test('without Redis there is one, and it says so', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const service = await ServiceProcess.start(t, {
    API_WORKERS: '4',
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.match(service.stdout, /API_WORKERS is 4, and one process serves: without REDIS_URL/)
  t.strictSame(pidsOf(service), [])
  t.strictSame(await service.stop(), CLEAN)
})
