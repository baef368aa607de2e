import { type RealServer, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import type { CallResult } from './fleet-process.ts'
import { startFleet } from './process-fleet.ts'

/** So long that a busy machine loses no lease, and no call for the want of its processor. */
const patient = { leaseMs: 20_000, handoffMs: 20_000 }
const budgetMs = 5000

let redis: RealServer
let fleet: Awaited<ReturnType<typeof startFleet>>
t.before(async () => {
  redis = await startRedis()
  fleet = await startFleet(4, { redisUrl: redis.url, budgetMs, options: { fleet: patient } })
})
t.after(async () => {
  await fleet.end()
  await redis.stop()
})

const values = (results: readonly CallResult[][]) => results.flat().map(({ value }) => value)

t.test('four processes with fifty callers each run every one of a hundred flights once', async (t) => {
  const lagsMs: number[] = []
  for (let round = 0; round < 10; round += 1) {
    const keys = Array.from({ length: 10 }, (_, index) => `market-${round}-${index}`)
    await Promise.all(
      keys.map(async (key) => {
        const results = await Promise.all(
          fleet.processes.map((process) => process.fly({ key, callers: 50, workMs: 60 })),
        )
        t.equal(results.flat().length, 200)
        t.ok(results.flat().every(({ error }) => error === undefined))
        t.equal(new Set(values(results).map((value) => JSON.stringify(value))).size, 1, 'one value for all')
        for (const [number, process] of fleet.processes.entries()) {
          for (const { value, atMs } of results[number] ?? []) {
            if (value !== undefined && value.by !== process.pid) lagsMs.push(atMs - value.landedAtMs)
          }
        }
      }),
    )
  }
  t.equal(fleet.started.length, 100)
  t.equal(new Set(fleet.started.map(({ key }) => key)).size, 100)
  t.ok(fleet.started.every(({ fence }) => fence !== null))
  lagsMs.sort((left, right) => left - right)
  const quantile = (share: number) => lagsMs[Math.floor(lagsMs.length * share)]?.toFixed(1)
  t.comment(`followers had the value ${quantile(0.5)} ms (p50), ${quantile(0.99)} ms (p99) after it landed`)
  let led = 0
  for (const process of fleet.processes) {
    const { fleet: counts } = await process.snapshot()
    led += counts.led
    t.match(counts, { degraded: 0, lost: 0, fenced: 0, alone: 0, tookOver: 0, leading: 0, following: 0 })
  }
  t.equal(led, 100)
})

t.test('a failure, a large value and a forgotten key are the same in all processes', async (t) => {
  const before = fleet.started.length
  const fly = (key: string, more: object = {}) =>
    Promise.all(fleet.processes.map((process) => process.fly({ key, callers: 5, workMs: 30, ...more })))

  for (const { error } of (await fly('failing', { fails: true })).flat()) {
    t.match(error, { message: 'no such market', code: 'NO_MARKET' })
  }
  t.equal(fleet.started.length, before + 1)

  const large = await fly('large', { bytes: 200_000 })
  t.equal(new Set(values(large).map((value) => value?.by)).size, 1)
  t.equal(fleet.started.length, before + 2)

  t.equal(await fleet.processes[0]?.forget('large'), true)
  const again = await fly('large', { bytes: 200_000 })
  t.equal(new Set(values(again).map((value) => value?.by)).size, 1)
  t.equal(fleet.started.length, before + 3)
  const [first, second] = fleet.started.slice(before + 1)
  t.ok((second?.fence ?? 0) > (first?.fence ?? 0))
})

t.test('processes of two namespaces do not share', async (t) => {
  const settings = (namespace: string) => ({
    redisUrl: redis.url,
    budgetMs,
    options: { fleet: { ...patient, namespace } },
  })
  const [red, blue] = await Promise.all([startFleet(1, settings('red')), startFleet(1, settings('blue'))])
  t.teardown(() => Promise.all([red.end(), blue.end()]))
  const results = await Promise.all(
    [...red.processes, ...blue.processes].map((process) =>
      process.fly({ key: 'same', callers: 5, workMs: 30 }),
    ),
  )
  t.equal(new Set(values(results).map((value) => value?.by)).size, 2)
  t.equal(red.started.length + blue.started.length, 2)
})

t.test('a process that closes its flights and its guard ends by itself', async (t) => {
  t.strictSame(await Promise.all(fleet.processes.map((process) => process.close())), [0, 0, 0, 0])
})
