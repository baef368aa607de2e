import { GuardedRedis } from '@holdfast/redis-guard'
import { contractSuite, HandClock, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { MemoryStore } from '../src/memory-store.ts'
import { RedisStore } from '../src/redis-store.ts'
import type { MaintenanceStore } from '../src/store.ts'

const server = await startRedis()
const redis = new GuardedRedis({ url: server.directUrl, budgetMs: 5000 })
await redis.ready(10_000)
const nobody = { id: 'nobody', text: '' }

await contractSuite<MaintenanceStore, Test>(
  t,
  'a store of states',
  [
    { name: 'memory', setUp: () => new MemoryStore(new HandClock()) },
    {
      name: 'Redis',
      setUp: async () => {
        await redis.call('FLUSHDB')
        return new RedisStore(redis, 'service')
      },
      close: async () => {
        await redis.close()
        await server.stop()
      },
    },
  ],
  {
    'an empty store knows the time and no version': async (t, store) => {
      t.equal(await store.ready(1000), true)
      t.equal(store.available, true)
      const { version, text, nowMs } = await store.sync(0, nobody)
      t.same([version, text], [0, undefined])
      t.ok(nowMs > 1_600_000_000_000)
    },
    'a document is there for whoever knows an earlier one, and for nobody else': async (t, store) => {
      const written = await store.write('{"a":"ü"}', 0)
      t.match(written, { written: true })
      t.match(await store.sync(0, nobody), { version: written.version, text: '{"a":"ü"}' })
      t.match(await store.sync(written.version - 1, nobody), { text: '{"a":"ü"}' })
      t.equal((await store.sync(written.version, nobody)).text, undefined)
    },
    'of two who replace the same one is refused, and learns of the other': async (t, store) => {
      const first = await store.write('1', 0)
      const second = await store.write('2', 0)
      t.same(second, { written: false, version: first.version, text: '1' })
      const third = await store.write('3', first.version)
      t.ok(third.written && third.version > first.version)
      t.equal((await store.sync(0, nobody)).text, '3')
    },
    'a version is larger than that of who writes, whatever the clock says': async (t, store) => {
      const ahead = 9_000_000_000_000
      t.match(await store.write('1', ahead), { written: true, version: ahead + 1 })
      t.match(await store.write('2', ahead + 1), { written: true, version: ahead + 2 })
    },
    'what was lost is put back, unless something later is there': async (t, store) => {
      await store.restore({ version: 100, text: 'old' })
      t.match(await store.sync(0, nobody), { version: 100, text: 'old' })
      await store.restore({ version: 99, text: 'older' })
      t.match(await store.sync(0, nobody), { version: 100, text: 'old' })
      await store.restore({ version: 101, text: 'newer' })
      t.match(await store.sync(0, nobody), { version: 101, text: 'newer' })
    },
    'whoever looks is known by what he said last, until he leaves': async (t, store) => {
      await store.sync(0, { id: 'a', text: 'one' })
      await store.sync(0, { id: 'b', text: '' })
      await store.sync(0, { id: 'a', text: 'two' })
      const { members, heardForMs } = await store.members()
      t.ok(heardForMs >= 0)
      t.same(members.map(({ id, text }) => [id, text]).toSorted(), [
        ['a', 'two'],
        ['b', ''],
      ])
      for (const { seenMsAgo } of members) t.ok(seenMsAgo >= 0 && seenMsAgo < 60_000)
      await store.leave('a')
      await store.leave('nobody')
      t.same(
        (await store.members()).members.map(({ id }) => id),
        ['b'],
      )
    },
    'a change is told, and nothing after the end of listening': async (t, store) => {
      let calls = 0
      let version = 0
      const change = async () => {
        version += 1
        await store.restore({ version, text: 'x' })
      }
      const end = store.onChange(() => {
        calls += 1
      })
      await waitUntil(
        async () => {
          if (calls === 0) await change()
          return calls > 0
        },
        { what: 'word of a change', timeoutMs: 30_000 },
      )
      end()
      const before = calls
      await change()
      t.equal(calls, before)
    },
  },
)

t.test('whoever has been silent for a minute is gone', async (t) => {
  const clock = new HandClock()
  const store = new MemoryStore(clock)
  await store.sync(0, { id: 'a', text: '' })
  await clock.advance(30_000)
  await store.sync(0, { id: 'b', text: '' })
  await clock.advance(30_001)
  t.same(await store.members(), { heardForMs: 60_001, members: [{ id: 'b', text: '', seenMsAgo: 30_001 }] })
  await clock.advance(30_000)
  await store.sync(0, { id: 'c', text: '' })
  t.same(
    (await store.members()).members.map(({ id }) => id),
    ['c'],
  )
})
