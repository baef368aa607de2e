import { GuardedRedis, type RedisScript } from '@holdfast/redis-guard'
import { contractSuite, HandClock, seededRandom, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { changesScript, changesSource, writeScript, writeSource } from '../src/block-scripts.ts'
import { type EscalationPolicy, MAX_OFFENCES } from '../src/escalation.ts'
import { RedisStore } from '../src/redis-store.ts'
import type { BlockStore, Cursor, StoredBlock } from '../src/store.ts'
import { MemoryBlockStore } from './memory-block-store.ts'

const policy = { blockMs: 900_000, maxBlockMs: 86_400_000, decayMs: 86_400_000 }
const budgetMs = 5000
const server = await startRedis()
const redis = new GuardedRedis({ url: server.directUrl, budgetMs })
await redis.ready(10_000)

/** All changes since a cursor. */
async function read(store: BlockStore, cursor?: Cursor) {
  const blocks: StoredBlock[] = []
  let from = cursor
  for (;;) {
    const changes = await store.changes(from)
    blocks.push(...changes.blocks)
    from = changes.cursor
    if (!changes.more) return { blocks, cursor: changes.cursor, fromTheStart: changes.fromTheStart }
  }
}

interface Subject {
  readonly store: BlockStore
  lose(): Promise<void>
}

await contractSuite<Subject, Test>(
  t,
  'a store of blocks',
  [
    {
      name: 'memory',
      setUp: () => {
        const store = new MemoryBlockStore(policy, new HandClock())
        return { store, lose: async () => store.lose() }
      },
    },
    {
      name: 'Redis',
      setUp: async () => {
        await redis.call('FLUSHDB')
        return {
          store: new RedisStore(redis, policy, 10_000),
          lose: async () => void (await redis.call('FLUSHDB')),
        }
      },
    },
  ],
  {
    'an empty store has nothing to read': async (t, { store }) => {
      t.same((await read(store)).blocks, [])
    },
    'a block lasts as escalation says, and one that runs is answered as it is': async (t, { store }) => {
      const first = await store.punish('192.0.2.1', 'more than 100')
      t.match(first, { address: '192.0.2.1', offences: 1, origin: 'automatic', reason: 'more than 100' })
      t.ok(first.remainingMs > 899_000 && first.remainingMs <= 900_000)
      const again = await store.punish('192.0.2.1', 'another reason')
      t.match(again, { offences: 1, reason: 'more than 100' })
      t.ok(again.remainingMs <= first.remainingMs)
    },
    'a person sets the time, also of a block that runs': async (t, { store }) => {
      await store.punish('192.0.2.1', 'x')
      const held = await store.hold('192.0.2.1', 5000, 'a reason with\nlines and ünïcode')
      t.match(held, { offences: 1, origin: 'manual', reason: 'a reason with\nlines and ünïcode' })
      t.ok(held.remainingMs > 4000 && held.remainingMs <= 5000)
      t.same(
        (await read(store)).blocks.map(({ origin }) => origin),
        ['manual'],
      )
    },
    'what is lifted is told, and its offences are forgotten': async (t, { store }) => {
      await store.punish('192.0.2.1', 'x')
      const { cursor } = await read(store)
      t.equal(await store.lift('192.0.2.1'), true)
      t.equal(await store.lift('192.0.2.1'), false, 'there is nothing left to end')
      t.equal(await store.lift('192.0.2.9'), false, 'there never was')
      t.match((await read(store, cursor)).blocks, [
        { address: '192.0.2.1', remainingMs: 0, offences: 0 },
        { address: '192.0.2.9', remainingMs: 0, offences: 0 },
      ])
      t.match(await store.punish('192.0.2.1', 'x'), { offences: 1 })
    },
    'changes are read from a cursor on, each address once, in pages': async (t, { store }) => {
      for (let at = 0; at < 450; at += 1) await store.punish(`10.0.${at >> 8}.${at & 255}`, 'x')
      const all = await read(store)
      t.equal(all.blocks.length, 450)
      await store.hold('10.0.0.7', 1000, 'y')
      await store.hold('10.0.0.7', 2000, 'z')
      const later = await read(store, all.cursor)
      t.match(later.blocks, [{ address: '10.0.0.7', reason: 'z' }])
      t.equal(later.blocks.length, 1)
      t.equal(later.fromTheStart, false)
      t.same((await read(store, later.cursor)).blocks, [])
    },
    'after a loss of data a cursor is unknown, and reading begins at the start': async (
      t,
      { store, lose },
    ) => {
      await store.punish('192.0.2.1', 'x')
      await store.punish('192.0.2.2', 'x')
      const { cursor } = await read(store)
      await lose()
      t.match(await store.changes(cursor), { fromTheStart: true, blocks: [], more: false })
      await store.punish('192.0.2.3', 'x')
      await store.punish('192.0.2.4', 'x')
      const changes = await store.changes(cursor)
      t.equal(changes.fromTheStart, true)
      t.same(changes.blocks.map(({ address }) => address).sort(), ['192.0.2.3', '192.0.2.4'])
    },
    'what a process knew is restored, unless the store knows better': async (t, { store, lose }) => {
      const known = await store.punish('192.0.2.1', 'x')
      await lose()
      const restored = await store.restore({ ...known, remainingMs: 70_000, ageMs: 3000, offences: 4 })
      t.match(restored, { offences: 4, reason: 'x', origin: 'automatic' })
      t.ok(restored.remainingMs > 69_000 && restored.remainingMs <= 70_000)
      t.match(await store.restore({ ...known, offences: 9, reason: 'late' }), { offences: 4, reason: 'x' })
      await store.lift('192.0.2.1')
      t.match(await store.restore({ ...known, ageMs: 5000 }), { remainingMs: 0 }, 'it was lifted meanwhile')
    },
    'requests of all processes are counted together, by address': async (t, { store }) => {
      t.equal(await store.count('192.0.2.1', 30), 30)
      t.equal(await store.count('192.0.2.1', 12), 42)
      t.equal(await store.count('192.0.2.2', 1), 1)
    },
    'a block and the end of one begin the counts at 0': async (t, { store }) => {
      await store.count('192.0.2.1', 99)
      await store.punish('192.0.2.1', 'x')
      t.equal(await store.count('192.0.2.1', 2), 2)
      await store.lift('192.0.2.1')
      t.equal(await store.count('192.0.2.1', 3), 3)
    },
    'whoever listens hears of a change': async (t, { store }) => {
      let calls = 0
      const stop = store.onChange(() => {
        calls += 1
      })
      await waitUntil(async () => {
        await store.hold('192.0.2.1', 1000, 'x')
        return calls > 0
      })
      stop()
      t.ok(calls > 0)
    },
  },
)

await t.test('without Redis every call is rejected within its budget, with a code', async (t) => {
  const down = new GuardedRedis({ url: 'redis://127.0.0.1:1', budgetMs: 50 })
  t.teardown(() => down.close())
  const store = new RedisStore(down, policy, 10)
  const code = { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE' }
  await t.rejects(store.punish('192.0.2.1', 'x'), code)
  await t.rejects(store.hold('192.0.2.1', 1, 'x'), code)
  await t.rejects(store.lift('192.0.2.1'), code)
  await t.rejects(store.changes(undefined), code)
})

await t.test('records have a bound, and the keys expire when nothing counts any more', async (t) => {
  await redis.call('FLUSHDB')
  const store = new RedisStore(redis, policy, 5)
  for (let at = 0; at < 8; at += 1) await store.hold(`10.0.0.${at}`, 60_000 + at * 1000, 'x')
  t.same((await read(store)).blocks.map(({ address }) => address).sort(), [
    '10.0.0.3',
    '10.0.0.4',
    '10.0.0.5',
    '10.0.0.6',
    '10.0.0.7',
  ])
  const keys = (await redis.call('KEYS', '*')) as Buffer[]
  t.equal(keys.length, 4)
  for (const key of keys) t.ok(Number(await redis.call('PTTL', key)) > 0, String(key))
})

await t.test('values that nobody could have written do no harm for long', async (t) => {
  await redis.call('FLUSHDB')
  const store = new RedisStore(redis, policy, 100)
  await store.punish('192.0.2.1', 'x')
  const records = redis.key('abuse-guard', 'blocks', 'records')
  await redis.call('HSET', records, '192.0.2.1', '99999999999999 500 0 automatic far')
  t.match((await read(store)).blocks, [{ remainingMs: 2_147_483_647, offences: 16, reason: 'far' }])
  await redis.call('HSET', records, '192.0.2.1', 'rubbish')
  t.same((await read(store)).blocks, [])
  t.match(await store.punish('192.0.2.1', 'x'), { offences: 1 })
})

await t.test(
  'counts of more than 50 to 55 seconds ago are not in the sum, and their key expires',
  async (t) => {
    await redis.call('FLUSHDB')
    const store = new RedisStore(redis, policy, 100)
    const key = redis.key('abuse-guard', 'counts', '192.0.2.1')
    const [seconds] = (await redis.call('TIME')) as [Buffer]
    const slot = Math.floor(Number(seconds) / 5)
    await redis.call('HSET', key, slot - 12, 1000, slot - 9, 20, slot + 5, 500)
    t.equal(await store.count('192.0.2.1', 1), 21)
    t.equal(await redis.call('HGET', key, slot - 12), null, 'what is over is taken out')
    t.ok(Number(await redis.call('PTTL', key)) > 0)
  },
)

/** The same store twice, in TypeScript and in Lua, over one clock of ours. The scripts find it in a key of their slot. */
async function twins(policy: EscalationPolicy) {
  await redis.call('FLUSHDB')
  const clockKey = redis.key('abuse-guard', 'blocks', 'clock')
  const clockLua = `local function nowMs() return tonumber(redis.call('GET', '${clockKey}')) end\n`
  const onOurClock = new Map<unknown, RedisScript<unknown>>([
    [writeScript, { ...writeScript, name: 'test.write', lua: writeSource(clockLua) }],
    [changesScript, { ...changesScript, name: 'test.changes', lua: changesSource(clockLua) }],
  ])
  const run = (script: never, keys: never, args: never) =>
    redis.run((onOurClock.get(script) ?? script) as never, keys, args)
  const doubled = {
    available: true,
    key: redis.key.bind(redis),
    subscribe: redis.subscribe.bind(redis),
    listening: redis.listening.bind(redis),
    onStateChange: redis.onStateChange.bind(redis),
    run,
  }
  const clock = new HandClock()
  const pass = async (ms: number) => {
    clock.jumpWall(ms)
    await redis.call('SET', clockKey, clock.wallMs())
  }
  await pass(0)
  const lua = new RedisStore(doubled as never, policy, 1_000_000)
  return { model: new MemoryBlockStore(policy, clock), lua, pass }
}

await t.test('escalation goes as far in Lua as in TypeScript, and no further', async (t) => {
  const { model, lua, pass } = await twins({ blockMs: 1000, maxBlockMs: 2 ** 31 - 1, decayMs: 2 ** 31 - 1 })
  let block = await lua.punish('192.0.2.1', 'x')
  t.same(await model.punish('192.0.2.1', 'x'), block)
  for (let round = 1; round < MAX_OFFENCES + 4; round += 1) {
    await pass(block.remainingMs)
    block = await lua.punish('192.0.2.1', 'x')
    t.same(await model.punish('192.0.2.1', 'x'), block, `block ${round + 1}`)
  }
  t.match(block, { offences: MAX_OFFENCES, remainingMs: 1000 * 2 ** MAX_OFFENCES })
})

await t.test('random traces: the Lua form and the TypeScript form agree to the millisecond', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { model, lua, pass } = await twins({ blockMs: 1000, maxBlockMs: 12_000, decayMs: 7000 })
  const addresses = ['192.0.2.1', '192.0.2.2', '2001:db8:1:2::/64']
  for (let step = 0; step < 600; step += 1) {
    await pass(random.pick([0, 1, 400, 900, 3000, 9000, 30_000]))
    const address = random.pick(addresses)
    const ms = random.int(1, 5000)
    const block: StoredBlock = {
      address,
      remainingMs: ms,
      ageMs: random.int(0, 20_000),
      offences: random.int(0, 16),
      origin: 'automatic',
      reason: `step ${step}`,
    }
    const write = random.pick<(store: BlockStore) => Promise<unknown>>([
      (store) => store.punish(address, `step ${step}`),
      (store) => store.punish(address, `step ${step}`),
      (store) => store.hold(address, ms, `step ${step}`),
      (store) => store.restore(block),
      (store) => store.lift(address),
    ])
    const [expected, said] = [await write(model), await write(lua)]
    if (JSON.stringify(expected) !== JSON.stringify(said)) t.same(said, expected, `step ${step}`)
  }
})

await redis.close()
await server.stop()
