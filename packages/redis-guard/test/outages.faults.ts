import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis, startRedisCluster, startRedisSentinel, waitUntil } from '@holdfast/test-kit'
import { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { GuardedRedis, type GuardedRedisOptions } from '../src/index.ts'
import { count, type Outage, outage } from './outage.ts'

const rejections: unknown[] = []
process.on('unhandledRejection', (reason) => rejections.push(reason))

/** For what only prepares a test. */
const patient = { budgetMs: 2000 }

function fulfils(t: Test, measured: Outage): void {
  t.comment(
    Object.entries(measured)
      .map(([name, value]) => `${name} ${typeof value === 'number' ? value.toFixed(1) : value}`)
      .join(', '),
  )
  const { firstMs, laterMs, recoveryMs, stallMs } = measured
  // A machine that is busy with other things keeps the timers waiting, and every turn of the event loop.
  const slackMs = 20 + 4 * stallMs
  t.ok(firstMs <= 50 + slackMs, `the first call costs its budget at most: ${firstMs} ms`)
  t.ok(laterMs <= slackMs, `later ones nothing: ${laterMs} ms`)
  t.ok(recoveryMs <= 2000 + slackMs, `recovered after ${recoveryMs} ms`)
}

/** Publishes; a call that a busy machine answers too late is made again by the one who waits. */
async function isHeard(guard: GuardedRedis, messages: readonly string[], message: string): Promise<boolean> {
  await guard.publish('news', message).catch(() => {})
  return messages.includes(message)
}

async function guardOf(t: Test, options: GuardedRedisOptions): Promise<GuardedRedis> {
  const guard = new GuardedRedis(options)
  t.teardown(() => guard.close())
  t.equal(await guard.ready(5000), true)
  return guard
}

t.test('one server', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const faults: Readonly<Record<string, [() => unknown, () => unknown]>> = {
    frozen: [() => server.freeze(), () => server.thaw()],
    'black-holed': [() => server.blackhole(), () => server.heal()],
    'killed and restarted': [() => server.kill9(), () => server.restart()],
    refused: [
      () => {
        server.proxy.refuse()
        server.proxy.reset()
      },
      () => server.heal(),
    ],
  }
  for (const [name, [fault, heal]] of Object.entries(faults)) {
    await t.test(name, async (t) => {
      const guard = await guardOf(t, { url: server.url })
      const key = guard.key('outage', name)
      await guard.run(count, [key], [1], patient)
      const measured = await outage(guard, [key], 3000, fault, heal)
      fulfils(t, measured)
      t.ok(measured.refused > 100)
      t.equal(guard.snapshot().inFlight, 0)
      t.ok(server.proxy.openConnections <= 3, `${server.proxy.openConnections} connections are open`)
    })
  }
})

t.test('an outage costs no memory: calls, connections and listeners stay few', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const guard = await guardOf(t, { url: server.url, heartbeatMs: 100 })
  server.freeze()
  const settled = Promise.allSettled(
    Array.from({ length: 10_000 }, (_, at) => guard.run(count, [guard.key('many', String(at % 7))], [1])),
  )
  t.equal(guard.snapshot().inFlight, 4096)
  await settled
  for (let round = 0; round < 50; round++) {
    await Promise.allSettled(Array.from({ length: 100 }, () => guard.call('PING')))
    await sleep(50)
  }
  t.equal(guard.snapshot().inFlight, 0, 'the dead connection is gone, with what it owed')
  server.thaw()
  t.equal(await guard.ready(2000), true)
  await waitUntil(() => server.proxy.openConnections <= 1)
})

t.test('Sentinel', async (t) => {
  const set = await startRedisSentinel()
  t.teardown(() => set.stop())
  const { name, natMap, addresses } = set
  const options = { connection: { sentinels: [...addresses], name, natMap } }

  await t.test('a failover on purpose is followed', async (t) => {
    const guard = await guardOf(t, options)
    await waitUntil(() => guard.snapshot().sentinels.listening === 3)
    const key = guard.key('outage', t.name)
    const before = await set.master()
    const measured = await outage(
      guard,
      [key],
      0,
      async () => {
        await set.failover()
        // Long before a Sentinel tells the old master that it is one no more.
        await waitUntil(() => guard.snapshot().sentinels.switches === 1)
      },
      () => {},
    )
    fulfils(t, measured)
    t.not(await set.master(), before)
    // It may be so quick that no call falls into it.
    t.ok(measured.downMs <= 2000 + 4 * measured.stallMs, `down for ${measured.downMs} ms`)
    const kept = Number(await guard.call('GET', key))
    t.comment(`of ${guard.snapshot().calls.ok} answered calls ${kept} are counted at the new master`)
  })

  for (const fault of ['freeze', 'kill9'] as const) {
    await t.test(`${fault} of the master`, async (t) => {
      const client = new Redis({ ...options.connection, lazyConnect: true })
      const guard = await guardOf(t, { client })
      t.teardown(() => client.disconnect())
      const gaps: string[] = []
      const messages: string[] = []
      guard.subscribe('news', {
        onMessage: (payload) => messages.push(String(payload)),
        onGap: () => gaps.push('gap'),
      })
      await waitUntil(() => guard.listening('news'))
      const before = await set.master()
      const key = guard.key('outage', fault)
      const measured = await outage(
        guard,
        [key],
        1,
        () => before[fault](),
        () => set.masterOtherThan(before),
      )
      fulfils(t, measured)
      await waitUntil(() => guard.listening('news'), { timeoutMs: 3000 })
      await waitUntil(() => isHeard(guard, messages, 'after'))
      t.ok(gaps.length >= 2)
      if (fault === 'freeze') before.thaw()
      else await before.restart()
      // The returned one becomes a replica; nobody may have gone back to it.
      await waitUntil(async () => (await set.master()) !== before)
    })
  }
})

t.test('a cluster of three masters', async (t) => {
  const cluster = await startRedisCluster({ replicas: 1 })
  t.teardown(() => cluster.stop())
  const tags = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const clientOf = (t: Test) => {
    const client = new Cluster([...cluster.addresses.slice(0, 2)], {
      natMap: cluster.natMap,
      lazyConnect: true,
    })
    t.teardown(() => client.disconnect())
    return client
  }

  await t.test('scripts run on every node, also those that do not know them', async (t) => {
    const guard = await guardOf(t, { client: clientOf(t) })
    const keys = tags.map((tag) => guard.key('cluster', tag))
    for (let round = 1; round <= 2; round++) {
      const answers = await Promise.all(
        keys.flatMap((key) => [guard.run(count, [key], [1], patient), guard.run(count, [key], [1], patient)]),
      )
      t.strictSame(
        answers,
        keys.flatMap(() => [2 * round - 1, 2 * round]),
      )
    }
    t.ok(guard.snapshot().scriptLoads >= 3)
    t.ok(guard.snapshot().batches < guard.snapshot().batchedCalls)
  })

  for (const fault of ['freeze', 'kill9', 'blackhole'] as const) {
    await t.test(`${fault} of one master`, async (t) => {
      await cluster.whole()
      const guard = await guardOf(t, { client: clientOf(t) })
      const keys = tags.map((tag) => guard.key(fault, tag))
      const [first = ''] = keys
      await Promise.all(keys.map((key) => guard.run(count, [key], [1], patient)))
      const before = await cluster.masterOf(first)
      if (before === undefined) throw new Error('no master')
      const heal = async () => {
        if (fault === 'blackhole') await before.heal()
        else {
          await cluster.masterOtherThan(before, first)
          await waitUntil(async () => {
            const masters = await Promise.all(keys.map((key) => cluster.masterOf(key)))
            return masters.every((master) => master !== undefined && master !== before)
          })
        }
      }
      const measured = await outage(guard, keys, 1500, () => before[fault](), heal)
      fulfils(t, measured)
      if (fault === 'freeze') before.thaw()
      if (fault === 'kill9') await before.restart()
    })
  }

  await t.test('a subscription survives the node that holds it', async (t) => {
    await cluster.whole()
    const guard = await guardOf(t, { client: clientOf(t) })
    const messages: string[] = []
    const gaps: string[] = []
    guard.subscribe('news', {
      onMessage: (payload) => messages.push(String(payload)),
      onGap: () => gaps.push('gap'),
    })
    await waitUntil(() => guard.listening('news'))
    const admin = cluster.nodes.map((node) => new Redis(node.directUrl))
    t.teardown(() => {
      for (const one of admin) one.disconnect()
    })
    const holders = await Promise.all(admin.map((one) => one.pubsub('NUMSUB', 'news')))
    const holder = cluster.nodes[holders.findIndex(([, subscribers]) => subscribers === 1)]
    if (holder === undefined) throw new Error('nobody holds the subscription')
    await holder.kill9()
    await waitUntil(() => gaps.length > 0)
    await waitUntil(() => guard.listening('news') && guard.available, { timeoutMs: 10_000 })
    await waitUntil(() => isHeard(guard, messages, 'after'))
    t.ok(gaps.length >= 2)
    await holder.restart()
  })
})

t.test('nothing was rejected behind our back', async (t) => {
  t.strictSame(rejections, [])
})
