import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { isRunning } from '../src/process-tree.ts'
import { askRedis } from '../src/redis-command.ts'
import { type RedisSentinel, startRedisSentinel } from '../src/redis-sentinel.ts'
import { waitUntil } from '../src/wait-until.ts'

let redis: RedisSentinel

t.before(async () => {
  redis = await startRedisSentinel({ replicas: 2 })
})
t.teardown(() => redis.stop())

t.test('its sentinels name one master, whose data the replicas have', async (t) => {
  t.same([redis.nodes.length, redis.sentinels.length], [3, 3])
  const [first] = redis.nodes
  t.equal(await redis.master(), first)
  await askRedis(first?.directPort ?? 0, 'SET', 'kept', 'before')
  for (const { directPort } of redis.nodes)
    await waitUntil(async () => (await askRedis(directPort, 'GET', 'kept')) === 'before')
  t.same(
    redis.addresses,
    redis.sentinels.map(({ directPort: port }) => ({ host: '127.0.0.1', port })),
  )
  t.same(redis.natMap[`127.0.0.1:${first?.directPort}`], { host: '127.0.0.1', port: first?.port })
  t.equal(Object.keys(redis.natMap).length, 6)
})

t.test('an ordered failover makes a replica the master and keeps the data', async (t) => {
  const before = await redis.master()
  const after = await redis.failover()
  t.not(after, before)
  t.equal(await redis.master(), after)
  t.equal(await askRedis(after.directPort, 'GET', 'kept'), 'before')
  await t.resolves(askRedis(after.directPort, 'SET', 'kept', 'after'))
})

t.test('a killed master is replaced', async (t) => {
  const before = await redis.master()
  // What only the new master has dies with it. The first one is told late that it is a replica now,
  // and may be the one that the sentinels choose next.
  for (const { directPort } of redis.nodes)
    await waitUntil(async () => (await askRedis(directPort, 'GET', 'kept')) === 'after', {
      timeoutMs: 30_000,
    })
  await before.kill9()
  const after = await redis.masterOtherThan(before)
  t.ok(isRunning(after.pid))
  t.equal(await askRedis(after.directPort, 'GET', 'kept'), 'after')
  await before.restart()
})

t.test('a frozen master is replaced, too', async (t) => {
  const before = await redis.master()
  before.freeze()
  const after = await redis.masterOtherThan(before)
  before.thaw()
  t.not(after, before)
})

t.test('two sentinels that are gone leave nobody to name a master', async (t) => {
  const [first, second] = redis.sentinels
  await first?.kill9()
  await second?.kill9()
  await t.rejects(redis.master(200), { message: /a master that two sentinels name/ })
  await second?.restart()
  await t.resolves(redis.master())
  await first?.restart()
})

t.test('a client that follows natMap can be cut off from a node that lives on', async (t) => {
  const master = await redis.master()
  const way = redis.natMap[`${master.host}:${master.directPort}`]
  master.blackhole()
  const socket = connect(way?.port ?? 0, way?.host)
  t.teardown(() => socket.destroy())
  socket.write('PING\r\n')
  await t.rejects(once(socket, 'data', { signal: AbortSignal.timeout(100) }))
  t.equal(await askRedis(master.directPort, 'PING'), 'PONG')
  await master.heal()
})

t.test('stop ends all of it', async (t) => {
  const small = await startRedisSentinel()
  const pids = [...small.nodes, ...small.sentinels].map(({ pid }) => pid)
  t.equal(pids.length, 5)
  await small.stop()
  t.notOk(pids.some(isRunning))
})
