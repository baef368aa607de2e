// Jobs of settlement from the real queue: every bet of every event once, in as many jobs as it takes.

import { Logs } from '@holdfast/logging'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { BossQueue } from '../src/jobs/boss-queue.ts'
import { Settlement } from '../src/workers/settlement/settlement.ts'
import {
  SettlementWorker,
  type SettlementWorkerOptions,
} from '../src/workers/settlement/settlement-worker.ts'
import {
  anotherProcess,
  bettingDatabase,
  endEvent,
  moneyAstray,
  newEvent,
  orderOf,
  tellingTable,
} from './betting.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(240_000)

interface Line {
  readonly event?: string
  readonly state?: string
  readonly parts?: number
}

async function setUp(t: Test) {
  const made = await bettingDatabase(t, postgres.directUrl, { users: 4, connections: 10 })
  const { pool, bets, users, url } = made
  const teller = await tellingTable(pool)
  const lines: Line[] = []
  const logs = new Logs<FastifyRequest>({ destination: { write: (line) => lines.push(JSON.parse(line)) } })
  const silent = { warn() {}, error() {} }
  const queueOf = (own: typeof pool) => {
    const queue = new BossQueue({ pool: own, correlation: logs, log: silent, pollMs: 50, lookSeconds: 1 })
    t.teardown(() => queue.close())
    return queue
  }
  const queue = queueOf(pool)
  /** One more process that settles. */
  const process = (options: Partial<SettlementWorkerOptions> = {}) => {
    const { pool: own } = anotherProcess(t, url)
    const counted = { won: 0, lost: 0, void: 0 }
    const count = (bets: typeof counted) => {
      for (const outcome of ['won', 'lost', 'void'] as const) counted[outcome] += bets[outcome]
    }
    const settlement = new Settlement(own, teller)
    const jobs = queueOf(own)
    const worker = new SettlementWorker({ queue: jobs, settlement, logs, count, ...options })
    t.teardown(() => worker.stop())
    return { worker, jobs, counted }
  }
  const manyBets = async (count: number) => {
    const eventId = await newEvent(pool)
    for (let from = 0; from < count; from += 8) {
      await Promise.all(
        Array.from({ length: Math.min(8, count - from) }, (_, at) =>
          bets.place(orderOf({ userId: users[at % users.length] ?? '', eventId, stakeMinor: 10 })),
        ),
      )
    }
    return eventId
  }
  /** As a provider's word does it: the end and the job, both or neither. */
  const end = (eventId: string, fail?: Error) =>
    pool.transaction({}, async (tx) => {
      await endEvent(tx, eventId, { winner: 'home' })
      await queue.enqueue(tx, 'settle', { event_id: eventId, provider_version: '1' }, { key: eventId })
      if (fail !== undefined) throw fail
    })
  const open = async () => (await pool.query(`select from bets where status = 'open'`)).rowCount
  return { ...made, queue, lines, process, manyBets, end, open }
}

t.test('the end of an event is a job, and a job is many parts and leads to the next one', async (t) => {
  const { pool, process, manyBets, end, open, lines } = await setUp(t)
  const events = [await manyBets(45), await manyBets(1), await manyBets(0)]
  const { worker, counted } = process({ betsAtOnce: 10, maxParts: 2 })
  t.match(worker.snapshot(), { state: 'new', active: 0, jobs: 0 })
  await worker.start()
  for (const eventId of events) await end(eventId)
  const ends = () => lines.filter(({ event, state }) => event === 'event.settled' && state === 'done')
  await waitUntil(() => ends().length === 3, { timeoutMs: 60_000, what: 'three events to be settled' })
  t.equal(await open(), 0)
  t.strictSame(counted, { won: 46, lost: 0, void: 0 })
  t.equal(lines.filter(({ state }) => state === 'continued').length, 2, '20, 20 and 5')
  await waitUntil(() => worker.snapshot().active === 0)
  t.strictSame(worker.snapshot(), { state: 'working', active: 0, jobs: 5, bets: counted })
  t.strictSame(await moneyAstray(pool), [])
})

t.test('a job that takes long leaves the rest to the next one, before its time is up', async (t) => {
  const { pool, process, manyBets, end, open, lines } = await setUp(t)
  let nowMs = 0
  const slow = {
    nowMs: () => {
      nowMs += 15_000
      return nowMs
    },
  }
  const { worker } = process({ betsAtOnce: 2, clock: slow })
  const eventId = await manyBets(9)
  await end(eventId)
  await worker.start()
  await waitUntil(() => lines.some(({ state }) => state === 'done'), { timeoutMs: 60_000 })
  t.equal(await open(), 0)
  const told = lines.filter(({ event }) => event === 'event.settled')
  t.strictSame(
    told.map(({ state, parts }) => [state, parts]),
    [
      ['continued', 2],
      ['continued', 2],
      ['done', 1],
    ],
  )
  t.strictSame(await moneyAstray(pool), [])
})

t.test('an end that is taken back leaves no job, and nothing is settled', async (t) => {
  const { process, manyBets, end, open, queue } = await setUp(t)
  const eventId = await manyBets(3)
  await process().worker.start()
  await t.rejects(end(eventId, new Error('the provider takes it back')), { message: /takes it back/ })
  t.match(await queue.depths(), { settle: { waiting: 0, active: 0, failed: 0 } })
  t.equal(await open(), 3)
})

t.test('the same job three times, at two processes, is one effect', async (t) => {
  const { pool, process, manyBets, end, open, queue, lines } = await setUp(t)
  const first = process({ betsAtOnce: 5 })
  const second = process({ betsAtOnce: 5 })
  const eventId = await manyBets(40)
  await end(eventId)
  for (let copies = 0; copies < 2; copies += 1) {
    await queue.enqueue(pool, 'settle', { event_id: eventId, provider_version: '1' })
  }
  await Promise.all([first.worker.start(), second.worker.start()])
  const ends = () => lines.filter(({ event }) => event === 'event.settled')
  await waitUntil(() => ends().length === 3, { timeoutMs: 60_000 })
  t.equal(await open(), 0)
  t.equal(first.counted.won + second.counted.won, 40)
  const { rows } = await pool.query(
    `select sum(jsonb_array_length(payload -> 'bets'))::int as told from told where kind = 'bets.settled'`,
  )
  t.strictSame(rows, [{ told: 40 }])
  t.strictSame(await moneyAstray(pool), [])
})

t.test('a process that is told to end leaves the rest to another one', async (t) => {
  const { pool, process, manyBets, end, open } = await setUp(t)
  const ending = process({ betsAtOnce: 2 })
  await ending.worker.start()
  const eventId = await manyBets(60)
  await end(eventId)
  await waitUntil(() => ending.counted.won > 0, { timeoutMs: 60_000, intervalMs: 1 })
  await ending.worker.stop()
  await ending.jobs.close()
  t.match(ending.worker.snapshot(), { state: 'stopping', active: 0 })
  const next = process()
  await next.worker.start()
  await waitUntil(async () => (await open()) === 0, { timeoutMs: 60_000 })
  await waitUntil(() => ending.counted.won + next.counted.won === 60)
  t.strictSame(await moneyAstray(pool), [])
})

t.test('what can never be settled goes to the dead letters at once', async (t) => {
  const { pool, process, queue } = await setUp(t)
  const { worker } = process()
  await worker.start()
  for (const payload of [{ event_id: '999', provider_version: '1' }, { event: 'none' }]) {
    await queue.enqueue(pool, 'settle', payload)
  }
  await waitUntil(async () => (await queue.depths()).settle.failed === 2, { timeoutMs: 60_000 })
  t.match(await queue.depths(), { settle: { waiting: 0, active: 0 } })
})
