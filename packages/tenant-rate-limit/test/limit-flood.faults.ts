import { type RealServer, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { leaseExcess, resolveLeases } from '../src/lease-terms.ts'
import { checks } from '../src/options.ts'
import {
  callsOf,
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
/** Where answers take longer than this, more than 2 % may ask: several are on their way when a bucket is found empty. */
const QUICK_MS = 25
const leases = resolveLeases(true, checks)
if (leases === undefined) throw new Error('no leases')

const limits = { public: '100/s', other: '1000/s' }
const flooded = policyOf('public', limits.public)

function requestsOf(results: readonly StreamResult[]): number {
  return results.reduce((sum, result) => sum + result.requests, 0)
}

for (const count of [1, 4, 8]) {
  for (const lending of [false, true]) {
    const name = `${count} ${count === 1 ? 'process' : 'processes'}, leases ${lending ? 'on' : 'off'}`
    t.test(`a flood of 100 times the limit: few ask, and others do not notice; ${name}`, async (t) => {
      const fleet = await startLimitFleet(count, {
        redis: { url: redis.url },
        budgetMs,
        policies: limits,
        leases: lending ? leases : undefined,
      })
      t.teardown(() => fleet.end())
      await whole(fleet)
      const other = { policy: 'other', tenant: `other ${name}`, perSecond: 200 / count }
      const atFirst = await callsOf(fleet)
      const [quiet = []] = await runAll(fleet, [other], 2000)
      const ofOther = (await callsOf(fleet)) - atFirst
      const flood = { policy: 'public', tenant: `flood ${name}`, perSecond: 10_000 / count }
      // Until the bucket is empty everybody passes who asks.
      await runAll(fleet, [flood], 1000)
      const before = await callsOf(fleet)
      const [flooding = [], beside = []] = await runAll(fleet, [flood, other], 4000)
      const calls = (await callsOf(fleet)) - before
      const requests = requestsOf(flooding)
      // The other tenant asks as it did before, for twice as long.
      const share = (calls - 2 * ofOther) / requests
      // It begins with what came back since the bucket was empty, of which the ideal knows nothing.
      const ideal = idealUnits(flooding, 100, 100) - 100
      const [passed, left] = [passedUnits(flooding), unitsLeft(flooding, 100)]
      const numbers = `${passed} of ${ideal} passed, ${left.toFixed(1)} are left`
      t.comment(inWords(flooding, `${(share * 100).toFixed(2)} % of them asked Redis, ${numbers}`))
      t.ok(share <= 0.05, `${calls} calls for ${requests} requests`)
      const slowestMs = longestWaitMs(flooding)
      const waited = `an answer took ${slowestMs.toFixed(0)} ms: `
      // What a slow machine is forgiven is counted as skipped, and only where it was needed.
      const asked = share > 0.02 && slowestMs > QUICK_MS
      t.ok(share <= 0.02, 'at most 2 % of them asked Redis', {
        skip: asked && `${waited}several were on their way when the bucket was found empty`,
      })
      const bound = lending ? leaseExcess(flooded, leases, count) : 0
      t.ok(certainExcess(flooding, flooded.capacity, flooded.refillPerSecond) <= bound)
      const ranOver = passed + left < 0.99 * ideal && runsOver(flooding, flooded)
      t.ok(passed + left >= 0.99 * ideal, numbers, {
        skip: ranOver && `${waited}the bucket ran over meanwhile`,
      })
      // How long the other tenant waits is told, and no test: the flood is made by the very processes that refuse it.
      // `pnpm bench limit-flood` compares its p99, with the flood from a process of its own.
      t.comment(inWords(quiet, 'another tenant, alone'))
      t.comment(inWords(beside, 'another tenant, beside the flood'))
      t.equal(passedUnits(beside), requestsOf(beside), 'all of the other tenant pass')
      await Promise.all(fleet.processes.map((process) => process.close()))
    })
  }
}
