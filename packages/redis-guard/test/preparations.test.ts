import { startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { GuardedRedis, type RedisCalls } from '../src/index.ts'

const note = { name: 'note', lua: "return redis.call('RPUSH', KEYS[1], ARGV[1])", keys: 1 }
const patient = { budgetMs: 5000, connectTimeoutMs: 5000, heartbeatMs: 20 }

t.test('what has to be done first is done before any other call, at every recovery', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const guard = new GuardedRedis({ url: server.url, ...patient })
  t.teardown(() => guard.close())
  const key = guard.key('prepared', 'list')
  const states: boolean[] = []
  const stop = guard.beforeUp(async (redis) => {
    states.push(guard.available)
    await t.rejects(guard.call('PING'), { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE' }, 'nobody else')
    await redis.run(note, [redis.key('prepared', 'list')], ['prepared'])
    states.push(guard.available)
  })
  t.equal(await guard.ready(10_000), true)
  const noted = async () => String(await guard.call('LRANGE', key, 0, -1))
  t.equal(await noted(), 'prepared', 'the first connection')

  guard.breaker.trip('a test')
  t.equal(await guard.ready(10_000), true)
  t.equal(await noted(), 'prepared,prepared', 'the same connection, after a stall')

  const end = guard.breaker.isolate('a test')
  t.equal(guard.available, false)
  end()
  t.equal(await guard.ready(10_000), true)
  t.equal(await noted(), 'prepared,prepared,prepared', 'after an isolation')

  server.proxy.reset()
  await waitUntil(() => guard.snapshot().preparations.done === 4 && guard.available)
  t.equal(await noted(), 'prepared,prepared,prepared,prepared', 'another connection')
  t.same(states, Array(8).fill(false))

  stop()
  server.proxy.reset()
  await waitUntil(() => guard.snapshot().connections === 3 && guard.available)
  t.match(guard.snapshot().preparations, { done: 4, failed: 0 })
})

t.test('a preparation that fails, hangs or is none keeps Redis from nobody', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const guard = new GuardedRedis({ url: server.url, ...patient, prepareMs: 30 })
  t.teardown(() => guard.close())
  t.throws(() => guard.beforeUp(5 as never), { code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION' })
  const wrong: unknown[] = []
  const hanging = guard.beforeUp(async (redis: RedisCalls) => {
    for (const call of [redis.call('SELECT', 1), redis.run(note, [], []), redis.call('NONE')]) {
      wrong.push(await call.catch(({ code }) => code))
    }
    await new Promise(() => {})
  })
  t.equal(await guard.ready(10_000), true)
  t.match(guard.snapshot().preparations, { done: 0, failed: 1 })
  await waitUntil(() => wrong.length === 3)
  t.same(wrong, [
    'HOLDFAST_ERR_REDIS_GUARD_COMMAND',
    'HOLDFAST_ERR_REDIS_GUARD_SCRIPT',
    'HOLDFAST_ERR_REDIS_GUARD_COMMAND',
  ])
  hanging()
  guard.beforeUp(() => {
    throw new Error('it cannot')
  })
  guard.breaker.trip('a test')
  t.equal(await guard.ready(10_000), true)
  t.match(guard.snapshot().preparations, { done: 0, failed: 2 })
})

t.test('a connection that ends under a preparation is never up', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const guard = new GuardedRedis({ url: server.url, ...patient })
  t.teardown(() => guard.close())
  let rounds = 0
  guard.beforeUp(async (redis) => {
    rounds += 1
    if (rounds > 1) return
    server.proxy.reset()
    await redis.call('PING').catch(() => undefined)
  })
  t.equal(await guard.ready(10_000), true)
  t.equal(rounds, 2)
  t.equal(guard.snapshot().connections, 1)
})
