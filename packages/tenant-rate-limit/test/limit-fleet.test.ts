import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { leaseExcess } from '../src/index.ts'
import { resolveLeases } from '../src/lease-terms.ts'
import { bySource, certainExcess, idealUnits, passedUnits, startLimitFleet } from './limit-fleet.ts'
import type { StreamResult } from './limit-process.ts'
import { checks } from '../src/options.ts'
import { policyOf } from './policy-of.ts'

let redis: RealServer
t.before(async () => {
  redis = await startRedis()
})
t.after(() => redis.stop())

/** So long that a busy machine loses no answer of Redis. */
const budgetMs = 10_000
const leases = resolveLeases(true, checks)
if (leases === undefined) throw new Error('no leases')

type Fleet = Awaited<ReturnType<typeof startLimitFleet>>

/** All processes know of all. */
async function whole({ processes }: Fleet): Promise<void> {
  await waitUntil(async () => {
    const snapshots = await Promise.all(processes.map((process) => process.snapshot()))
    return snapshots.every(({ limiter }) => limiter.processes >= processes.length)
  })
}

async function callsOf({ processes }: Fleet): Promise<number> {
  const snapshots = await Promise.all(processes.map((process) => process.snapshot()))
  return snapshots.reduce((sum, { calls }) => sum + calls, 0)
}

/** The streams of all processes, one list for each stream. */
async function runAll({ processes }: Fleet, streams: Parameters<Fleet['processes'][0]['run']>[0], ms: number) {
  const results = await Promise.all(processes.map((process) => process.run(streams, ms)))
  return streams.map((_, at) => results.map((result) => result[at] as StreamResult))
}

function tell(t: Test, results: readonly StreamResult[], more: string): void {
  const requests = results.reduce((sum, result) => sum + result.requests, 0)
  const worst = (at: number) => Math.max(...results.map(({ waitedMs }) => waitedMs[at] ?? 0)).toFixed(2)
  t.comment(`${requests} requests ${JSON.stringify(bySource(results))}; p99 ${worst(1)} ms; ${more}`)
}

for (const count of [1, 4, 8]) {
  for (const lending of [false, true]) {
    const name = `${count} ${count === 1 ? 'process' : 'processes'}, leases ${lending ? 'on' : 'off'}`
    t.test(`${name}: limits hold although every clock is wrong`, async (t) => {
      const limits = { flooded: '500/s', busy: '2000/s', login: '50/s strict' }
      const fleet = await startLimitFleet(count, {
        redisUrl: redis.url,
        budgetMs,
        policies: limits,
        leases: lending ? leases : undefined,
      })
      t.teardown(() => fleet.end())
      await whole(fleet)
      const streams = [
        { policy: 'flooded', tenant: name, perSecond: 4000 / count },
        { policy: 'busy', tenant: name, perSecond: 1200 / count },
        { policy: 'login', tenant: name, perSecond: 400 / count },
      ]
      const results = await runAll(fleet, streams, 4000)
      for (const [at, { policy: named }] of streams.entries()) {
        const stream = results[at] ?? []
        const policy = policyOf(named, limits[named as keyof typeof limits])
        const bound = lending ? leaseExcess(policy, leases, count) : 0
        const excess = certainExcess(stream, policy.capacity, policy.refillPerSecond)
        const [passed, ideal] = [
          passedUnits(stream),
          idealUnits(stream, policy.capacity, policy.refillPerSecond),
        ]
        const numbers = `${passed} of ${ideal} passed, ${excess.toFixed(1)} above B + R * t, bound ${bound}`
        tell(t, stream, `${named}: ${numbers}`)
        t.ok(excess <= bound, `${named}: ${numbers}`)
        // A strict policy that is lent holds less, and that is what it costs.
        if (!(lending && policy.strict)) t.ok(passed >= 0.99 * ideal, `${named}: ${numbers}`)
        t.ok(stream.every(({ errors }) => errors.length === 0))
        t.notOk('fallback' in bySource(stream), 'nothing was decided without Redis')
      }
      if (lending) t.ok((bySource(results[1] ?? []).lease ?? 0) > 0, 'leases were used')
      t.strictSame(
        await Promise.all(fleet.processes.map((process) => process.close())),
        fleet.processes.map(() => 0),
      )
    })
  }
}

for (const count of [1, 4, 8]) {
  t.test(`a flood of 100 times the limit at ${count} processes: few ask, and others do not notice`, async (t) => {
    const fleet = await startLimitFleet(count, {
      redisUrl: redis.url,
      budgetMs,
      policies: { public: '100/s', other: '1000/s' },
      leases,
    })
    t.teardown(() => fleet.end())
    await whole(fleet)
    const other = { policy: 'other', tenant: `other ${count}`, perSecond: 50 / count }
    const [quiet = []] = await runAll(fleet, [other], 2000)
    const before = await callsOf(fleet)
    const flood = { policy: 'public', tenant: `flood ${count}`, perSecond: 10_000 / count }
    const [flooded = []] = await runAll(fleet, [flood], 5000)
    const calls = (await callsOf(fleet)) - before
    const requests = flooded.reduce((sum, result) => sum + result.requests, 0)
    const share = calls / requests
    const ideal = idealUnits(flooded, 100, 100)
    const passed = passedUnits(flooded)
    tell(t, flooded, `${(share * 100).toFixed(2)} % of them asked Redis, ${passed} of ${ideal} passed`)
    t.ok(share <= 0.02, `${calls} calls for ${requests} requests`)
    t.ok(certainExcess(flooded, 100, 100) <= leaseExcess(policyOf('p', '100/s'), leases, count))
    t.ok(passed >= 0.95 * ideal)
    const [beside = [], flooding = []] = await runAll(fleet, [other, flood], 2000)
    tell(t, quiet, 'another tenant, alone')
    tell(t, beside, 'another tenant, beside the flood')
    t.equal(
      passedUnits(beside),
      beside.reduce((sum, result) => sum + result.requests, 0),
      'all of the other tenant pass',
    )
    t.ok(passedUnits(flooding) > 0)
    await Promise.all(fleet.processes.map((process) => process.close()))
  })
}

t.test('what a process held when it was killed is lost, and lets nobody pass', async (t) => {
  const fleet = await startLimitFleet(4, {
    redisUrl: redis.url,
    budgetMs,
    policies: { p: '1000/s' },
    leases,
  })
  t.teardown(() => fleet.end())
  await whole(fleet)
  const [first, ...others] = fleet.processes
  if (first === undefined) throw new Error('no process')
  const streams = [{ policy: 'p', tenant: 'killed', perSecond: 500 }]
  const running = others.map((process) => process.run(streams, 3000))
  const doomed = first.run(streams, 3000)
  doomed.catch(() => {})
  await waitUntil(async () => ((await first.snapshot()).limiter.leases?.units ?? 0) > 0)
  await first.kill9()
  const stream = (await Promise.all(running)).map(([result]) => result as StreamResult)
  const policy = policyOf('p', '1000/s')
  const excess = certainExcess(stream, policy.capacity, policy.refillPerSecond)
  tell(t, stream, `${excess.toFixed(1)} above B + R * t`)
  t.ok(excess <= leaseExcess(policy, leases, 4))
  await waitUntil(async () => {
    const snapshots = await Promise.all(others.map((process) => process.snapshot()))
    return snapshots.every(({ limiter }) => limiter.processes >= 3)
  })
})
