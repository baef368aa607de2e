import { type RealServer, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { leaseExcess } from '../src/index.ts'
import { resolveLeases } from '../src/lease-terms.ts'
import { checks } from '../src/options.ts'
import {
  callsOf,
  certainExcess,
  idealUnits,
  inWords,
  longestWaitMs,
  passedUnits,
  runAll,
  startLimitFleet,
  waitingUnits,
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
/** Where answers take longer than this, several questions are on their way when a bucket is found empty. */
const QUICK_MS = 25
const leases = resolveLeases(true, checks)
if (leases === undefined) throw new Error('no leases')

for (const count of [1, 4, 8]) {
  t.test(
    `a flood of 100 times the limit at ${count} processes: few ask, and others do not notice`,
    async (t) => {
      const fleet = await startLimitFleet(count, {
        redisUrl: redis.url,
        budgetMs,
        policies: { public: '100/s', other: '1000/s' },
        leases,
      })
      t.teardown(() => fleet.end())
      await whole(fleet)
      const other = { policy: 'other', tenant: `other ${count}`, perSecond: 50 / count }
      const [quiet = []] = await runAll(fleet, [other], 1000)
      const flood = { policy: 'public', tenant: `flood ${count}`, perSecond: 10_000 / count }
      // Until the bucket is empty everybody passes who asks.
      await runAll(fleet, [flood], 1000)
      const before = await callsOf(fleet)
      const [flooded = [], beside = []] = await runAll(fleet, [flood, other], 4000)
      const calls = (await callsOf(fleet)) - before
      const requestsOf = (results: readonly StreamResult[]) =>
        results.reduce((sum, result) => sum + result.requests, 0)
      const requests = requestsOf(flooded)
      // Those of the other tenant may have asked each.
      const share = (calls - requestsOf(beside)) / requests
      // It begins with an empty bucket.
      const ideal = idealUnits(flooded, 100, 100) - 100
      const passed = passedUnits(flooded)
      t.comment(
        inWords(flooded, `${(share * 100).toFixed(2)} % of them asked Redis, ${passed} of ${ideal} passed`),
      )
      const most = longestWaitMs(flooded) <= QUICK_MS ? 0.02 : 0.05
      t.ok(share <= most, `${calls} calls for ${requests} requests`)
      t.ok(certainExcess(flooded, 100, 100) <= leaseExcess(policyOf('p', '100/s'), leases, count))
      t.ok(passed >= 0.99 * ideal - waitingUnits(flooded, 100), `${passed} of ${ideal}`)
      t.comment(inWords(quiet, 'another tenant, alone'))
      t.comment(inWords(beside, 'another tenant, beside the flood'))
      t.equal(passedUnits(beside), requestsOf(beside), 'all of the other tenant pass')
      await Promise.all(fleet.processes.map((process) => process.close()))
    },
  )
}
