// What jobs hold while they wait, and what they carry from the request that has put them in.

import { setTimeout as sleep } from 'node:timers/promises'
import { Logs, logging, serverOptions } from '@holdfast/logging'
import { poolGuard } from '@holdfast/pool-guard'
import { startPgBouncer, startPostgres, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import { jobs } from '../src/plugins/jobs.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import { SettlementWorker } from '../src/workers/settlement/settlement-worker.ts'
import { bettingDatabase, endEvent, newEvent, orderOf } from './betting.ts'
import { bothWays } from './both-ways.ts'
import { handling, jobBench } from './job-bench.ts'

t.setTimeout(120_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const bouncer = await startPgBouncer({ target: postgres })
t.teardown(() => bouncer.stop())

const WAYS = bothWays(bouncer)
const LOOKS = 300

for (const [name, way] of Object.entries(WAYS)) {
  t.test(`${name}: jobs that run or wait hold no connection, and no place in the pool`, async (t) => {
    const { pool, sql, queue, put } = await jobBench(t, postgres.directUrl, way)
    // Beside this nothing asks the database: no heartbeat, and no look for those whose process is gone.
    await sql.query(`update jobs.queue set heartbeat_seconds = 3600`)
    const jobQueue = queue({ concurrency: 4, lookSeconds: 3600 })
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let running = 0
    await put(jobQueue, 'settle', { n: 0 })
    await jobQueue.work(
      'settle',
      handling(async ({ payload: { n } }) => {
        running += 1
        if (n === 0) throw new Error('it waits for its next try')
        await released
      }),
    )
    await waitUntil(async () => {
      const { rowCount } = await sql.query(`select from jobs.job where state = 'retry'`)
      return rowCount === 1
    })
    await sql.query(`update jobs.job set start_after = now() + interval '1 hour'`)
    for (let n = 1; n <= 24; n += 1) await put(jobQueue, 'settle', { n })
    await put(jobQueue, 'settle', { n: 25 }, { afterMs: 3_600_000 })
    await waitUntil(() => running === 5)
    await waitUntil(() => pool.showPools()[0]?.cl_active === 0)
    let most = 0
    for (let look = 0; look < LOOKS; look += 1) {
      const [row] = pool.showPools()
      most = Math.max(most, (row?.cl_active ?? 0) + (row?.cl_waiting ?? 0) + (row?.sv_active ?? 0))
      await sleep(1)
    }
    t.equal(most, 0, `in each of ${LOOKS} looks`)
    t.match(await jobQueue.depths(), { settle: { waiting: 22, active: 4 } })
    release()
    await waitUntil(async () => (await jobQueue.depths()).settle.waiting === 2)
    t.equal(running, 25)
  })
}

t.test('the id of a request is in the lines of the job that comes of it', async (t) => {
  const { url, pool, bets, users } = await bettingDatabase(t, postgres.directUrl)
  const lines: Record<string, unknown>[] = []
  const logs = new Logs<FastifyRequest>({ destination: { write: (line) => lines.push(JSON.parse(line)) } })
  const app = Fastify(serverOptions(logs))
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  await app.register(poolGuard, { connectionString: url, max: 4, min: 0 })
  await app.register(jobs, { jobsConcurrency: 2, jobsPollMs: 20, jobsGraceMs: 1000 })
  app.post<{ Params: { id: string } }>('/events/:id/end', async ({ params: { id } }) => {
    await app.poolGuard.transaction({}, async (tx) => {
      await endEvent(tx, id, { winner: 'home' })
      await app.jobs.enqueue(tx, 'settle', { event_id: id, provider_version: '1' }, { key: id })
    })
    return {}
  })
  const eventId = await newEvent(pool)
  await bets.place(orderOf({ userId: users[0] ?? '', eventId }))
  const answer = await app.inject({
    method: 'POST',
    url: `/events/${eventId}/end`,
    headers: { 'x-correlation-id': 'shop-000042' },
  })
  t.equal(answer.statusCode, 200)
  // Long after the request is over, as in another process.
  const settlement = new Settlement(app.poolGuard, { tell: async () => logs.logger.info('told') })
  await new SettlementWorker({ queue: app.jobs, settlement, logs }).start()
  const lineOf = (found: (line: Record<string, unknown>) => boolean) => lines.find(found)
  await waitUntil(() => lineOf(({ event }) => event === 'event.settled') !== undefined)
  const carried = { correlation_id: 'shop-000042', job: 'settle' }
  t.match(
    lineOf(({ event }) => event === 'event.settled'),
    { ...carried, event_id: eventId, won: 1 },
  )
  t.match(
    lineOf(({ msg }) => msg === 'told'),
    carried,
    'and in whatever it calls',
  )
  t.match(
    lineOf(({ msg }) => msg === 'request completed'),
    { correlation_id: 'shop-000042' },
  )
})
