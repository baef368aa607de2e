import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { leaseExcess, resolveLeases, withReserve } from '../src/lease-terms.ts'
import { checks } from '../src/options.ts'
import {
  bySource,
  certainExcess,
  idealUnits,
  inWords,
  longestWaitMs,
  passedUnits,
  runAll,
  runsOver,
  startLimitFleet,
  unitsLeft,
  whole,
} from './limit-fleet.ts'
import type { StreamResult } from './limit-process.ts'
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

for (const count of [1, 4, 8]) {
  for (const lending of [false, true]) {
    const name = `${count} ${count === 1 ? 'process' : 'processes'}, leases ${lending ? 'on' : 'off'}`
    t.test(`${name}: limits hold although every clock is wrong`, async (t) => {
      const limits = { flooded: '500/s', busy: '2000/s', login: '50/s strict' }
      const fleet = await startLimitFleet(count, {
        redis: { url: redis.url },
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
      const results = await runAll(fleet, streams, 2000)
      for (const [at, { policy: named }] of streams.entries()) {
        const stream = results[at] ?? []
        const policy = policyOf(named, limits[named as keyof typeof limits])
        const bound = lending ? leaseExcess(policy, leases, count) : 0
        const excess = certainExcess(stream, policy.capacity, policy.refillPerSecond)
        // What is kept back for leases, where they may exceed nothing, is the price of a burst.
        const held = lending ? withReserve(policy, leases).capacity : policy.capacity
        const ideal = idealUnits(stream, held, policy.refillPerSecond)
        const [passed, left] = [passedUnits(stream), unitsLeft(stream, policy.refillPerSecond)]
        const parts = `${passed} of ${ideal} passed, ${left.toFixed(1)} are left`
        const numbers = `${parts}, ${excess.toFixed(1)} above B + R * t, bound ${bound}`
        t.comment(inWords(stream, `${named}: ${numbers}`))
        t.ok(excess <= bound, `${named}: ${numbers}`)
        t.ok(runsOver(stream, policy) || passed + left >= 0.99 * ideal, `${named}: ${numbers}`)
        t.ok(stream.every(({ errors }) => errors.length === 0))
        t.notOk('fallback' in bySource(stream), 'nothing was decided without Redis')
      }
      // On a machine so busy that a loan comes after its time, nobody can pass with it.
      const [, busy = []] = results
      if (lending && longestWaitMs(busy) < leases.leaseMs)
        t.ok((bySource(busy)['lease'] ?? 0) > 0, 'leases were used')
      t.strictSame(
        await Promise.all(fleet.processes.map((process) => process.close())),
        fleet.processes.map(() => 0),
      )
    })
  }
}

t.test('what a process held when it was killed is lost, and lets nobody pass', async (t) => {
  // So long that units are held also on a busy machine.
  const long = { ...leases, leaseMs: 2000 }
  const fleet = await startLimitFleet(4, {
    redis: { url: redis.url },
    budgetMs,
    policies: { p: '1000/s' },
    leases: long,
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
  t.comment(inWords(stream, `${excess.toFixed(1)} above B + R * t`))
  t.ok(excess <= leaseExcess(policy, long, 4))
  await waitUntil(async () => {
    const snapshots = await Promise.all(others.map((process) => process.snapshot()))
    return snapshots.every(({ limiter }) => limiter.processes >= 3)
  })
})
