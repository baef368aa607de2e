import { askRedis, startRedis, startRedisCluster, waitUntil } from '@holdfast/test-kit'
import { Cluster } from 'ioredis'
import t from 'tap'
import { GuardedRedis } from '../src/index.ts'
import { isReply, saysElsewhere, saysUnusable } from '../src/reply-error.ts'
import { count } from './outage.ts'

const patient = { budgetMs: 10_000 }

const cluster = await startRedisCluster()
t.teardown(() => cluster.stop())

t.test('a cluster is found from one of its nodes, or by the client that is given', async (t) => {
  const pattern = new Cluster([...cluster.addresses], { lazyConnect: true })
  t.teardown(() => pattern.disconnect())
  for (const options of [{ cluster: cluster.addresses.slice(0, 1) }, { client: pattern }]) {
    const guard = new GuardedRedis({ ...options, ...patient, connectTimeoutMs: 5000 })
    t.equal(await guard.ready(20_000), true)
    const key = (tag: string) => guard.key('topology', tag)
    const tags = ['a', 'b', 'c', 'd', 'e', 'f']
    await Promise.all(tags.map((tag) => guard.run(count, [key(tag)], [1], patient)))
    t.ok(guard.snapshot().batches >= 3)
    const heard: string[] = []
    guard.subscribe('news', { onMessage: (payload) => void heard.push(String(payload)), onGap() {} })
    await waitUntil(() => guard.listening('news'))
    await guard.publish('news', 'x')
    await waitUntil(() => heard.length === 1)
    await guard.close()
  }
})

t.test('a server that became a replica is of no use, until it is a primary again', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const { hostname, port } = new URL(server.url)
  const connection = { host: hostname, port: Number(port) }
  const guard = new GuardedRedis({ connection, heartbeatMs: 60_000 })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(20_000), true)
  await askRedis(server.directPort, 'REPLICAOF', '127.0.0.1', '1')
  await t.rejects(guard.run(count, ['n'], [1], patient), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE',
    message: /READONLY/,
    mayHaveRun: false,
  })
  await waitUntil(() => guard.snapshot().reason === 'the server is a replica')
  t.equal(guard.available, false)
  await askRedis(server.directPort, 'REPLICAOF', 'NO', 'ONE')
  t.equal(await guard.ready(20_000), true)
})

t.test('a server that does not tell its role is taken as it is', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  await askRedis(server.directPort, 'ACL', 'SETUSER', 'default', '-role')
  const guard = new GuardedRedis({ url: server.url, ...patient })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(20_000), true)
})

t.test('what an error reply says about the server', async (t) => {
  const waiting = [
    'LOADING Redis is loading the dataset in memory',
    'LOADING Valkey is loading the dataset in memory',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  ]
  const moving = [
    'CLUSTERDOWN The cluster is down',
    'CLUSTERDOWN Hash slot not served',
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'NOAUTH Authentication required.',
    'Too many Cluster redirections. Last error: MOVED',
  ]
  for (const message of [...waiting, ...moving]) t.equal(saysUnusable(message), true, message)
  for (const message of waiting) t.equal(saysElsewhere(message), false, message)
  for (const message of moving) t.equal(saysElsewhere(message), true, message)
  for (const message of ['ERR no such key', 'WRONGTYPE Operation', 'OOM command', 'MOVED 1 a:1']) {
    t.equal(saysUnusable(message), false, message)
  }
  t.equal(isReply(new Error('Connection is closed.')), false)
})
