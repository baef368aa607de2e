// Workers that do not answer any more: stopped, or in a loop that does not end. They are found, ended and started again
// while the others serve; a machine that slept as a whole loses none. And what is said to one of them, all take.

import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { describePrimary } from '../deploy/prometheus/described.ts'
import { isAlive } from './is-alive.ts'
import { promtool } from './promtool.ts'
import type { ServiceProcess } from './service-process.ts'
import { readingOf, scrape, startWorkers, TOKEN, workerPids } from './worker-fleet.ts'

t.setTimeout(600_000)

const BUSY = new URL('./busy-on-signal.ts', import.meta.url).href
const STUCK_MS = 4000
/** Found, killed five seconds later, and started again on a slow machine. */
const PATIENTLY = { timeoutMs: 120_000 }

function living(service: ServiceProcess): readonly number[] {
  return workerPids(service).filter(isAlive)
}

/** Whether somebody answers; a connection may be given to whoever does not. */
async function serves({ url }: ServiceProcess): Promise<boolean> {
  const asked = fetch(`${url}/acme/api/public/load-theme`, { signal: AbortSignal.timeout(2000) })
  return asked.then(
    ({ status }) => status === 200,
    () => false,
  )
}

async function allServe(service: ServiceProcess, lost: number): Promise<void> {
  const restarts = () => service.stdout.match(/a worker serves again/g)?.length ?? 0
  await waitUntil(() => restarts() === lost, { ...PATIENTLY, what: `restart ${lost}` })
}

t.test('a worker that is stuck is found, killed and started again', async (t) => {
  const service = await startWorkers(t, 2, {
    NODE_OPTIONS: `--import=${BUSY}`,
    BUSY: 'ever',
    API_WORKER_STUCK_AFTER: `${STUCK_MS}ms`,
  })
  const stuck = async () => readingOf(await scrape(service), 'api_workers_lost_total{reason="stuck"}')
  const serving = async () => readingOf(await scrape(service), 'api_workers_serving')
  await waitUntil(async () => (await serving()) === 2, { what: 'the metrics of the primary' })
  const text = await scrape(service)
  t.strictSame(promtool(['check', 'metrics'], text), { status: 0, said: '' })
  for (const [name, { type }] of Object.entries(describePrimary())) {
    // What has no series yet is not told.
    if (/^api_|^metrics_workers$/.test(name)) t.match(text, `# TYPE ${name} ${type}\n`)
  }
  t.equal(readingOf(text, 'api_workers_expected'), 2)
  t.equal(await stuck(), 0)

  const [first = 0, second = 0] = living(service)
  process.kill(first, 'SIGSTOP')
  await waitUntil(async () => (readingOf(await scrape(service), 'api_worker_silence_seconds') ?? 0) > 0)
  await waitUntil(() => service.stdout.includes('a worker does not answer and is told to end'), PATIENTLY)
  await waitUntil(() => serves(service), { what: 'the other one to serve' })
  await waitUntil(() => !isAlive(first), PATIENTLY)
  await allServe(service, 1)
  await waitUntil(async () => (await stuck()) === 1)
  t.match(service.stdout, new RegExp(`"pid":${first},[^\n]*"msg":"a worker does not answer and is killed"`))

  process.kill(second, 'SIGUSR2')
  await waitUntil(() => !isAlive(second), { ...PATIENTLY, what: 'the end of a loop that does not end' })
  await allServe(service, 2)
  await waitUntil(async () => (await stuck()) === 2)
  await waitUntil(async () => (await serving()) === 2)
  t.equal(readingOf(await scrape(service), 'api_workers_lost_total{reason="killed"}'), 0, 'it has one reason')

  // A machine that sleeps: everything stands still, and goes on.
  const before = living(service)
  t.equal(before.length, 2)
  for (const pid of [service.pid, ...before]) process.kill(pid, 'SIGSTOP')
  await sleep(3 * STUCK_MS)
  for (const pid of [service.pid, ...before]) process.kill(pid, 'SIGCONT')
  // Longer than it takes to find one that is stuck.
  const looks = async () => readingOf(await scrape(service), 'api_worker_silence_seconds')
  for (const untilMs = performance.now() + 2 * STUCK_MS; performance.now() < untilMs; await sleep(200))
    await looks()
  t.strictSame(living(service), before)
  t.equal(await stuck(), 2)

  process.kill(before[0] ?? 0, 'SIGKILL')
  await allServe(service, 3)
  await waitUntil(
    async () => readingOf(await scrape(service), 'api_workers_lost_total{reason="killed"}') === 1,
  )
  t.strictSame(await service.stop(), { code: 0, signal: null })
})

t.test(
  'the level of the log is that of all workers, and of one that comes while it is in force',
  async (t) => {
    const service = await startWorkers(t, 3, { API_WORKER_STUCK_AFTER: '0s' })
    // A connection each: Node gives them to the workers in turn.
    const ask = async (init: RequestInit = {}) => {
      const answer = await fetch(`${service.url}/admin/log-level`, {
        ...init,
        headers: {
          authorization: `Bearer ${TOKEN}`,
          connection: 'close',
          ...(init.body ? { 'content-type': 'application/json' } : {}),
        },
      })
      return (await answer.json()) as { readonly level: string; readonly until: string | null }
    }
    const levels = async () => {
      const seen = new Set<string>()
      for (let count = 0; count < 9; count += 1) seen.add((await ask()).level)
      return [...seen]
    }
    const put = (body: object) => ask({ method: 'PUT', body: JSON.stringify(body) })
    t.match(await put({ level: 'debug', for_seconds: 600 }), {
      level: 'debug',
      until: String,
      processes: { taken: 3, of: 3 },
    })
    t.strictSame(await levels(), ['debug'])

    process.kill(living(service)[0] ?? 0, 'SIGKILL')
    await allServe(service, 1)
    await waitUntil(async () => (await levels()).length === 1, { what: 'the one that has come' })
    t.strictSame(await levels(), ['debug'])

    // Whoever is asked last is right, also where two are asked at once.
    const both = await Promise.all([put({ level: 'warn' }), put({ level: 'error' })])
    for (const answer of both) t.match(answer, { processes: { taken: 3, of: 3 } })
    t.equal((await levels()).length, 1)

    // One that is stopped takes it when it goes on.
    const stopped = living(service).at(-1) ?? 0
    process.kill(stopped, 'SIGSTOP')
    const all = Array.from({ length: 3 }, () => put({ level: 'trace' }))
    t.match(await Promise.race(all), { level: 'trace', processes: { taken: 2, of: 3 } })
    process.kill(stopped, 'SIGCONT')
    await Promise.all(all)
    await waitUntil(async () => (await levels()).join() === 'trace')

    t.match(await ask({ method: 'DELETE' }), { level: 'info', until: null, processes: { taken: 3, of: 3 } })
    t.strictSame(await levels(), ['info'])
    t.strictSame(await service.stop(), { code: 0, signal: null })
  },
)
