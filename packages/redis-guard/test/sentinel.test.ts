import { askRedis, type RealServer, startRedisSentinel, waitUntil } from '@holdfast/test-kit'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { GuardedRedis, type GuardedRedisOptions } from '../src/index.ts'
import { count } from './outage.ts'

const patient = { budgetMs: 10_000 }
const set = await startRedisSentinel()
t.teardown(() => set.stop())
const { name, natMap } = set
const sentinels = [...set.addresses]

async function guardOf(t: Test, options: GuardedRedisOptions): Promise<GuardedRedis> {
  const guard = new GuardedRedis({ ...patient, ...options })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(20_000), true)
  return guard
}

const listening = (guard: GuardedRedis, many: number) =>
  waitUntil(() => guard.snapshot().sentinels.listening === many, { timeoutMs: 20_000 })

/** Whether what a guard writes arrives at this node, and what is told there arrives at the guard. */
async function standsAt(t: Test, guard: GuardedRedis, node: RealServer): Promise<void> {
  const key = guard.key('sentinel', 'written')
  const written = await guard.run(count, [key], [1], patient)
  t.equal(await askRedis(node.directPort, 'GET', key), String(written))
  const heard: string[] = []
  guard.subscribe('news', { onMessage: (payload) => void heard.push(String(payload)), onGap() {} })
  await waitUntil(() => guard.listening('news'))
  await askRedis(node.directPort, 'PUBLISH', 'news', 'from there')
  await waitUntil(() => heard.length > 0)
}

t.test('the primary is found by the options, or by the client that is given', async (t) => {
  const connection = { sentinels, name }
  const pattern = new Redis({ ...connection, lazyConnect: true })
  t.teardown(() => pattern.disconnect())
  for (const options of [{ connection }, { client: pattern }]) {
    const guard = await guardOf(t, { ...options, connectTimeoutMs: 2000 })
    await standsAt(t, guard, await set.master())
  }
})

t.test('after a failover on purpose both connections move when the sentinels tell of it', async (t) => {
  // No probe of ours gets to ask the old master for its role, and nobody else writes to it.
  const settings = { connectTimeoutMs: 2000, heartbeatMs: 600_000 }
  for (const nat of [natMap, (address: string) => natMap[address]]) {
    const guard = await guardOf(t, { ...settings, connection: { sentinels, name, natMap: nat } })
    await standsAt(t, guard, await set.master())
    await listening(guard, 3)
    const master = await set.failover()
    await waitUntil(() => guard.snapshot().sentinels.switches === 1)
    t.equal(await guard.ready(10_000), true)
    await standsAt(t, guard, master)
    const { connections, sentinels: told } = guard.snapshot()
    t.strictSame({ connections, told }, { connections: 2, told: { listening: 3, switches: 1 } })
  }
})

t.test('a sentinel that does not answer delays nothing', async (t) => {
  const [first] = set.sentinels
  first?.freeze()
  t.teardown(() => first?.thaw())
  // Who waited for that one would wait for a minute.
  const options = { connection: { sentinels, name, natMap }, connectTimeoutMs: 60_000 }
  const guard = await guardOf(t, options)
  await listening(guard, 2)
  await standsAt(t, guard, await set.master())
  const master = await set.failover()
  await waitUntil(() => guard.snapshot().sentinels.switches === 1)
  t.equal(await guard.ready(20_000), true)
  await standsAt(t, guard, master)
})

t.test('sentinels that are gone disturb nobody who is connected', async (t) => {
  const proxied = set.sentinels.map(({ host, port }) => ({ host, port }))
  const options = { connection: { sentinels: proxied, name }, connectTimeoutMs: 1000, heartbeatMs: 50 }
  const guard = await guardOf(t, options)
  await listening(guard, 3)
  await standsAt(t, guard, await set.master())
  for (const { proxy } of set.sentinels) {
    proxy.refuse()
    proxy.reset()
  }
  t.teardown(() => Promise.all(set.sentinels.map((sentinel) => sentinel.heal())))
  await listening(guard, 0)
  t.type(await guard.run(count, [guard.key('sentinel', 'alone')], [1], patient), 'number')
  t.equal(guard.listening('news'), true)
  t.equal(guard.snapshot().connections, 1)
})
