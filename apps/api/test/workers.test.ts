// Several processes on one machine: all serve on one port, one that is killed comes back, and a restart replaces each
// while clients notice nothing.

import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { freshDatabase } from './fresh-database.ts'
import { brandOf, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const CLEAN = { code: 0, signal: null }
const METRICS_TOKEN = 'a-token-for-tests-only'

/** The workers that serve, by what the primary has said last. */
function pidsOf(service: ServiceProcess): readonly number[] {
  const lists = [...service.stdout.matchAll(/"(?:workers|pids)":\[([\d,]+)\]/g)]
  return (lists.at(-1)?.[1] ?? '').split(',').map(Number)
}

t.test('workers serve on one port, come back, are replaced in turn, and end together', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const service = await ServiceProcess.start(t, {
    API_WORKERS: '2',
    ENABLE_METRICS: 'true',
    METRICS_TOKEN,
    // The client keeps its connection: an instance that goes has to tell it first.
    SHUTDOWN_DRAIN: '3s',
    SHUTDOWN_MIN_DRAIN: '500ms',
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
  })
  await waitUntil(() => pidsOf(service).length === 2, { timeoutMs: 60_000 })
  const before = pidsOf(service)
  t.equal(await brandOf(service.url, 'acme'), 'Acme Markets')
  await waitUntil(async () => {
    const answer = await fetch(`${service.url}/metrics`, {
      headers: { authorization: `Bearer ${METRICS_TOKEN}` },
    })
    return /metrics_workers\{state="[a-z]+"\} 2\n/.test(await answer.text())
  })

  const [first = 0] = before
  process.kill(first, 'SIGKILL')
  await waitUntil(() => service.stdout.includes('a worker has ended'))
  t.equal(await brandOf(service.url, 'acme'), 'Acme Markets', 'the other one serves')

  let failed = 0
  let asked = 0
  let going = true
  const client = (async () => {
    while (going) {
      asked += 1
      const answer = await fetch(`${service.url}/acme/api/public/load-theme`).catch(() => undefined)
      if (answer?.status !== 200) failed += 1
      await answer?.body?.cancel()
    }
  })()
  service.kill('SIGHUP')
  await waitUntil(() => service.stdout.includes('all workers are replaced'), { timeoutMs: 120_000 })
  going = false
  await client
  t.strictSame([failed, asked > 10], [0, true])
  const after = pidsOf(service)
  t.equal(after.length, 2)
  t.notOk(after.some((pid) => before.includes(pid)))

  t.strictSame(await service.stop('SIGINT'), CLEAN)
  t.throws(() => process.kill(after[0] ?? 0, 0), 'its workers have ended with it')
})

t.test('workers whose primary is killed end by themselves', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const service = await ServiceProcess.start(t, {
    API_WORKERS: '2',
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
  })
  await waitUntil(() => pidsOf(service).length === 2, { timeoutMs: 60_000 })
  service.kill('SIGKILL')
  const isGone = (pid: number) => {
    try {
      process.kill(pid, 0)
      return false
    } catch {
      return true
    }
  }
  await waitUntil(() => pidsOf(service).every(isGone), { timeoutMs: 60_000, what: 'the end of the workers' })
})
