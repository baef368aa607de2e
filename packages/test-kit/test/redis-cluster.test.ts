import t from 'tap'
import { isRunning } from '../src/process-tree.ts'
import { startRedis } from '../src/redis.ts'
import { type RedisCluster, startRedisCluster } from '../src/redis-cluster.ts'
import { askRedis } from '../src/redis-command.ts'
import { allOrNone } from '../src/several-servers.ts'
import { waitUntil } from '../src/wait-until.ts'

// The slots of "b", "c" and "a", in this order: one per master.
const keys = ['b', 'c', 'a']

t.test('three masters', async (t) => {
  const cluster = await startRedisCluster()
  t.teardown(() => cluster.stop())

  t.test("share the slots, and each sends the others' keys away", async (t) => {
    const masters = await Promise.all(keys.map((key) => cluster.masterOf(key)))
    t.same(
      masters.map((node) => node?.directPort),
      cluster.nodes.map((node) => node.directPort),
    )
    for (const [index, { directPort }] of cluster.nodes.entries()) {
      const [own = '', other = ''] = [...keys.slice(index), ...keys]
      t.equal(await askRedis(directPort, 'SET', own, own), 'OK')
      const target = cluster.nodes[(index + 1) % 3]?.directPort
      await t.rejects(askRedis(directPort, 'GET', other), {
        message: new RegExp(`^MOVED \\d+ 127\\.0\\.0\\.1:${target}$`),
      })
    }
    t.equal(cluster.addresses.length, 3)
    t.equal(Object.keys(cluster.natMap).length, 3)
  })

  t.test('a master that comes back serves its slots and data again', async (t) => {
    const [, node] = cluster.nodes
    if (node === undefined) throw new Error('no node')
    await node.kill9()
    const [witness] = cluster.nodes
    const state = async () => String(await askRedis(witness?.directPort ?? 0, 'CLUSTER', 'INFO'))
    await waitUntil(async () => (await state()).includes('cluster_state:fail'))
    await t.rejects(cluster.whole(100))
    await node.restart()
    await cluster.whole()
    t.equal(await askRedis(node.directPort, 'GET', 'c'), 'c')
  })

  t.test('nobody takes the place of a master without replicas', async (t) => {
    await t.rejects(cluster.failover('a'), { message: 'no replica holds a' })
  })

  t.test('a cluster whose nodes are all gone has no masters', async (t) => {
    await Promise.all(cluster.nodes.map((node) => node.kill9()))
    t.equal(await cluster.masterOf('a'), undefined)
  })
})

t.test('masters with a replica each', async (t) => {
  let cluster: RedisCluster
  t.before(async () => {
    cluster = await startRedisCluster({ replicas: 1, settings: { maxmemory: '64mb' } })
  })
  t.teardown(() => cluster.stop())

  t.test('an ordered failover keeps the data', async (t) => {
    t.match(await askRedis(cluster.nodes[5]?.directPort ?? 0, 'CONFIG', 'GET', 'maxmemory'), [
      'maxmemory',
      '67108864',
    ])
    const before = await cluster.masterOf('a')
    await askRedis(before?.directPort ?? 0, 'SET', 'a', 'kept')
    await askRedis(before?.directPort ?? 0, 'WAIT', 1, 1000)
    const after = await cluster.failover('a')
    t.not(after, before)
    t.equal(await askRedis(after.directPort, 'GET', 'a'), 'kept')
  })

  t.test('a killed master is replaced', async (t) => {
    const before = await cluster.masterOf('b')
    if (before === undefined) throw new Error('no master')
    await before.kill9()
    const after = await cluster.masterOtherThan(before, 'b')
    await cluster.whole()
    t.equal(await askRedis(after.directPort, 'SET', 'b', 'again'), 'OK')
    await before.restart()
  })

  t.test('a frozen master is replaced, too', async (t) => {
    const before = await cluster.masterOf('c')
    if (before === undefined) throw new Error('no master')
    before.freeze()
    t.not(await cluster.masterOtherThan(before, 'c'), before)
    before.thaw()
    await cluster.whole()
  })
})

t.test('servers of which one does not start leave none behind', async (t) => {
  const healthy = startRedis()
  await t.rejects(allOrNone([healthy, startRedis({ args: ['--nonsense', 'yes'] })]), {
    code: 'HOLDFAST_ERR_TEST_KIT_START_FAILED',
  })
  t.notOk(isRunning((await healthy).pid))
})
