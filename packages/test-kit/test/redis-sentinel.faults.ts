import t from 'tap'
import { askRedis } from '../src/redis-command.ts'
import { startRedisSentinel } from '../src/redis-sentinel.ts'
import { waitUntil } from '../src/wait-until.ts'

t.test('a killed master that comes back becomes a replica of its successor', async (t) => {
  const redis = await startRedisSentinel()
  t.teardown(() => redis.stop())
  const before = await redis.master()
  await before.kill9()
  const after = await redis.masterOtherThan(before)
  await before.restart()
  await askRedis(after.directPort, 'SET', 'kept', 'later')
  const copied = async () => (await askRedis(before.directPort, 'GET', 'kept')) === 'later'
  await waitUntil(copied, { timeoutMs: 30_000 })
  t.match(await askRedis(before.directPort, 'ROLE'), ['slave'])
})
