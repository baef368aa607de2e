import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { GuardProcess } from './guard-fleet.ts'
import { budgetMs, floodOne, syncMs, times } from './heavy-one.ts'

let redis: RealServer
t.before(async () => {
  redis = await startRedis()
})
t.after(() => redis.stop())

for (const count of [1, 4]) {
  t.test(`${count} processes: the heavy one is refused by all, nobody else by any`, (t) =>
    floodOne(t, redis.directUrl, count),
  )
}

t.test('no request costs a call to Redis, neither one that passes nor one that is refused', async (t) => {
  const process = await GuardProcess.start({ redisUrl: redis.directUrl, budgetMs, syncMs })
  t.teardown(() => process.end())
  await process.flood(times(101, '203.0.113.50'))
  // The block is told, and the word of it makes the process read once more.
  await waitUntil(async () => ((await process.state()).snapshot.fleet?.syncs ?? 0) >= 2, {
    what: 'a second reading',
  })
  const before = await process.state()
  await process.flood(Array.from({ length: 1000 }, (_, at) => `10.9.${at >> 8}.${at & 255}`))
  const refused = await process.flood(times(500, '203.0.113.50'))
  t.ok(refused.every((status) => status === 429))
  t.equal((await process.state()).commands, before.commands)
})
