import { startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { floodOne } from './heavy-one.ts'

t.test('8 processes: the heavy one is refused by all, nobody else by any', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  await floodOne(t, redis.directUrl, 8)
})
