import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import type { AbuseGuardOptions } from '../src/options.ts'
import { guardOnHandClock } from './guard-on-hand-clock.ts'
import { MemoryBlockStore } from './memory-block-store.ts'

const minute = 60_000
const policy = { blockMs: 15 * minute, maxBlockMs: 1440 * minute, decayMs: 1440 * minute }

/** Several guards with one store, on one clock. */
function fleetOf(count: number, options: AbuseGuardOptions = {}, rows?: number) {
  const clock = new HandClock()
  const store = new MemoryBlockStore(policy, clock, rows)
  const join = (own: AbuseGuardOptions = {}) => guardOnHandClock({ ...options, ...own }, store, clock)
  const guards = Array.from({ length: count }, () => join())
  for (const { guard } of guards) guard.start()
  return { clock, store, guards, join }
}

t.test('a block of one is a block of all, without waiting for the next reading', async (t) => {
  const { clock, guards, store } = fleetOf(3)
  const [first, ...others] = guards
  t.equal(first?.send('192.0.2.1', 101), 1)
  await clock.advance(0)
  for (const { send, guard } of others) {
    t.equal(send('192.0.2.1', 1), 1)
    t.match(guard.snapshot(), { blocks: { automatic: 0, learnt: 1 }, blocked: 1 })
    t.match(guard.list(), [{ address: '192.0.2.1', shared: true, refused: 1, offences: 1 }])
  }
  t.match(first?.guard.list(), [{ shared: true, refused: 1 }])
  t.match(first?.guard.snapshot(), { blocks: { automatic: 1, learnt: 0 } })
  t.equal(store.writes, 1, 'one write for one block')
  for (const { guard } of guards) guard.close()
  await clock.advance(10_000)
  t.equal(clock.pendingTimers, 0)
  t.equal(store.listeners, 0)
})

t.test('a call that was missed is made up for by the next reading', async (t) => {
  const { clock, store, guards } = fleetOf(1)
  await store.hold('192.0.2.1', minute, 'x')
  store.onChange = () => () => {}
  const { guard, send } = guardOnHandClock({ syncMs: 1000 }, store, clock)
  guard.start()
  t.equal(send('192.0.2.1', 1), 0)
  await clock.advance(1000)
  t.equal(send('192.0.2.1', 1), 1)
  guard.close()
  guards[0]?.guard.close()
})

t.test('who starts later learns what runs, however much it is', async (t) => {
  const { clock, guards, join } = fleetOf(1, {}, 7)
  for (let at = 0; at < 100; at += 1) await guards[0]?.guard.block(`10.0.0.${at}`)
  const late = join()
  t.equal(await late.guard.sync(), true)
  t.equal(late.guard.snapshot().blocked, 100)
  t.equal(late.send('10.0.0.99', 1), 1)
  late.guard.close()
  guards[0]?.guard.close()
  await clock.advance(0)
})

t.test('a block keeps its end on the way through the store', async (t) => {
  const { clock, guards, join } = fleetOf(1)
  guards[0]?.send('192.0.2.1', 101)
  await clock.advance(14 * minute)
  const late = join()
  await late.guard.sync()
  t.equal(late.guard.blockOf('192.0.2.1')?.retryAfterMs, minute)
  await clock.advance(minute)
  t.equal(late.send('192.0.2.1', 1), 0)
  guards[0]?.guard.close()
})

t.test('an address that is lifted is free everywhere, and its counts begin at 0', async (t) => {
  const { clock, guards } = fleetOf(2)
  const [one, other] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(0)
  t.same(await other?.guard.unblock('192.0.2.1'), { lifted: ['192.0.2.1'], shared: true })
  await clock.advance(0)
  t.equal(one?.send('192.0.2.1', 100), 0)
  t.match(one?.guard.snapshot(), { lifted: 1, blocked: 0 })
  t.match(one?.lines.at(-1), { level: 'debug', message: 'address unblocked' })
  for (const { guard } of guards) guard.close()
})

t.test('who is freed after a block has ended begins at the shortest again, in all processes', async (t) => {
  const { clock, store, guards } = fleetOf(2)
  const [one, other] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(15 * minute)
  t.same(await other?.guard.unblock('192.0.2.1'), { lifted: ['192.0.2.1'], shared: true })
  await clock.advance(0)
  // Each on its own: what it remembers decides.
  store.down = true
  for (const { guard, send } of guards) {
    send('192.0.2.1', 101)
    t.match(guard.list(), [{ offences: 1, retryAfterMs: 15 * minute }])
    guard.close()
  }
})

t.test('a block that this process has not read yet is lifted, too', async (t) => {
  const { clock, store, guards, join } = fleetOf(1)
  const [one] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(0)
  const late = join()
  t.same(await late.guard.unblock('192.0.2.1'), { lifted: ['192.0.2.1'], shared: true })
  t.same(await late.guard.unblock('192.0.2.1'), { lifted: [], shared: true }, 'nobody knows anything more')
  await clock.advance(0)
  t.equal(one?.send('192.0.2.1', 100), 0)
  t.match(await store.punish('192.0.2.1', 'x'), { offences: 1 })
  one?.guard.close()
})

t.test('while the store is away everybody keeps what he knows; afterwards all know all', async (t) => {
  const { clock, store, guards } = fleetOf(2)
  const [one, other] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(0)
  store.down = true
  one?.send('192.0.2.2', 101)
  t.match(await other?.guard.block('192.0.2.3'), { shared: false })
  await clock.advance(5000)
  t.equal(one?.send('192.0.2.1', 1), 1)
  t.equal(one?.send('192.0.2.2', 1), 1)
  t.equal(one?.send('192.0.2.3', 1), 0)
  t.ok((one?.guard.snapshot().fleet?.failures ?? 0) > 0)
  store.down = false
  await clock.advance(2000)
  for (const { send, guard } of guards) {
    t.equal(send('192.0.2.2', 1), 1)
    t.equal(send('192.0.2.3', 1), 1)
    t.ok(guard.list().every(({ shared }) => shared))
    guard.close()
  }
  t.ok((one?.guard.snapshot().fleet?.restored ?? 0) >= 1)
})

t.test('a block that is lifted while the store is away stays lifted', async (t) => {
  const { clock, store, guards } = fleetOf(2)
  const [one, other] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(0)
  store.down = true
  t.same(await one?.guard.unblock('192.0.2.1'), { lifted: ['192.0.2.1'], shared: false })
  t.equal(one?.guard.snapshot().fleet?.pendingOrders, 1)
  await clock.advance(3000)
  t.equal(other?.send('192.0.2.1', 1), 1, 'nobody could tell the other')
  store.down = false
  await clock.advance(2000)
  t.equal(one?.send('192.0.2.1', 1), 0)
  t.equal(other?.send('192.0.2.1', 1), 0)
  t.equal(one?.guard.snapshot().fleet?.pendingOrders, 0)
  for (const { guard } of guards) guard.close()
})

t.test('lifts that wait have a bound', async (t) => {
  const { clock, store, guards } = fleetOf(1)
  const guard = guards[0]?.guard
  store.down = true
  for (let at = 0; at < 1010; at += 1) {
    const address = `10.0.${at >> 8}.${at & 255}`
    await guard?.block(address)
    await guard?.unblock(address)
  }
  t.equal(guard?.snapshot().fleet?.pendingOrders, 1000)
  guard?.close()
  await clock.advance(0)
})

t.test('a store that lost everything is told again, once by each', async (t) => {
  const { clock, store, guards, join } = fleetOf(2)
  for (let at = 0; at < 150; at += 1) await guards[0]?.guard.block(`10.0.0.${at}`)
  await clock.advance(1000)
  store.lose()
  await clock.advance(2000)
  const late = join()
  await late.guard.sync()
  t.equal(late.guard.snapshot().blocked, 150)
  late.guard.close()
  for (const { guard } of guards) guard.close()
})

t.test('after a reconnection everything is read from the start', async (t) => {
  const { clock, store, guards } = fleetOf(1)
  const [one] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(0)
  // A replica that had not heard of it was made the master, and its version went on.
  store.lose()
  for (let at = 0; at < 5; at += 1) await store.hold(`10.0.0.${at}`, minute, 'x')
  one?.guard.reconnected()
  await clock.advance(0)
  t.match(
    await store.restore({
      address: '192.0.2.1',
      remainingMs: 1,
      ageMs: 0,
      offences: 0,
      origin: 'manual',
      reason: 'no',
    }),
    {
      origin: 'automatic',
    },
  )
  t.equal(one?.guard.snapshot().blocked, 6)
  one?.guard.close()
})

t.test('nobody is blocked who is allowed here, whatever others say; and rubbish is left alone', async (t) => {
  const { clock, store, guards } = fleetOf(1, { allow: ['10.0.0.0/8', '2001:db8:1:2::7'] })
  const [one] = guards
  for (const address of ['10.0.0.1', '2001:db8:1::/48', 'rubbish', '192.0.2.0/24', '192.0.2.9']) {
    await store.hold(address, minute, 'x')
  }
  await clock.advance(0)
  t.same(
    one?.guard.list().map(({ address }) => address),
    ['192.0.2.9'],
  )
  one?.guard.close()
})

t.test('an ended block of the store does not end one that it has not heard of', async (t) => {
  const { clock, store, guards } = fleetOf(1)
  const [one] = guards
  await store.hold('192.0.2.1', 500, 'short')
  await clock.advance(1000)
  store.down = true
  one?.send('192.0.2.1', 101)
  await clock.advance(1000)
  store.down = false
  one?.guard.reconnected()
  await clock.advance(0)
  t.match(one?.guard.list(), [{ address: '192.0.2.1', origin: 'automatic', shared: true }])
  one?.guard.close()
})

t.test('the fleet agrees on the length of a block, whoever makes it', async (t) => {
  const { clock, guards } = fleetOf(2)
  const [one, other] = guards
  one?.send('192.0.2.1', 101)
  await clock.advance(15 * minute)
  other?.send('192.0.2.1', 101)
  await clock.advance(0)
  t.equal(one?.guard.blockOf('192.0.2.1')?.retryAfterMs, 30 * minute)
  t.match(other?.guard.blockOf('192.0.2.1'), { offences: 2, retryAfterMs: 30 * minute })
  for (const { guard } of guards) guard.close()
})

t.test('an address that goes from process to process is found by what all count together', async (t) => {
  const { clock, guards } = fleetOf(4)
  let passed = 0
  for (let second = 0; second < 40; second += 1) {
    // Five requests a second, each to the next process: 75 a minute for each of them.
    for (let at = 0; at < 5; at += 1) {
      if (guards[(second * 5 + at) % 4]?.send('192.0.2.1', 1) === 0) passed += 1
    }
    await clock.advance(1000)
  }
  t.ok(passed >= 100 && passed <= 160, `${passed} passed: 100, 12 for each process, and those of a second`)
  for (const { guard } of guards) {
    t.match(guard.list(), [{ address: '192.0.2.1', offences: 1 }])
    guard.close()
  }
})

t.test(
  'clients that are each allowed get the networks around them blocked by no number of processes',
  async (t) => {
    const { clock, guards } = fleetOf(4)
    // Each of 32 /64 sends its hundred, a quarter of them to each process.
    for (let client = 0; client < 32; client += 1) {
      for (const { send } of guards) t.equal(send(`2001:db8:1:${client.toString(16)}::1`, 25), 0)
    }
    await clock.advance(5000)
    for (const { guard } of guards) {
      t.same(guard.list(), [])
      guard.close()
    }
  },
)

t.test('what is counted together is never more than came within a minute', async (t) => {
  const { clock, guards } = fleetOf(4)
  for (let second = 0; second < 600; second += 1) {
    // A hundred a minute, whoever gets them.
    if (second % 3 === 0) for (let at = 0; at < 5; at += 1) guards[(second + at) % 4]?.send('192.0.2.1', 1)
    await clock.advance(1000)
  }
  for (const { guard } of guards) {
    t.same(guard.list(), [])
    guard.close()
  }
})

t.test('what is told has a bound, and what is too old is not told', async (t) => {
  const { clock, store, guards } = fleetOf(1, { syncMs: 1000 })
  const [one] = guards
  const told: string[] = []
  const count = store.count.bind(store)
  store.count = (address, requests) => {
    told.push(address)
    return count(address, requests)
  }
  for (let at = 0; at < 1200; at += 1) one?.send(`10.0.${at >> 8}.${at & 255}`, 20)
  await clock.advance(1000)
  t.equal(told.length, 1024)
  store.down = true
  one?.send('10.0.0.1', 1)
  await clock.advance(1000)
  t.ok((one?.guard.snapshot().fleet?.failures ?? 0) > 0)
  one?.guard.close()

  store.down = false
  told.length = 0
  const unused = () => {}
  const redis = { available: false, run: unused, key: unused, subscribe: unused, onStateChange: unused }
  const cut = guardOnHandClock({ redis: redis as never }, store, clock)
  cut.guard.start()
  cut.send('192.0.2.1', 50)
  await clock.advance(4500)
  redis.available = true
  await clock.advance(1000)
  cut.send('192.0.2.2', 50)
  await clock.advance(1000)
  t.same(told, ['192.0.2.2'], 'the first was more than four seconds old')
  cut.guard.close()
})

t.test('how often blocks are read has nothing to do with counting together', async (t) => {
  const { clock, guards } = fleetOf(4, { syncMs: 3_600_000 })
  for (const { send } of guards) send('192.0.2.1', 40)
  await clock.advance(2000)
  for (const { guard } of guards) {
    t.match(guard.list(), [{ address: '192.0.2.1' }])
    guard.close()
  }
})

t.test('a proxy that is not trusted is not blocked by what all count together either', async (t) => {
  const { clock, guards } = fleetOf(8)
  for (const { send } of guards) {
    // It looks after itself first, and each process sees less than half of what leads to a block.
    send('10.0.0.5', 2)
    for (let client = 0; client < 45; client += 1) {
      send('10.0.0.5', 1, { 'x-forwarded-for': `198.51.100.${client}` })
    }
  }
  await clock.advance(5000)
  for (const { guard } of guards) {
    t.same(guard.list(), [])
    guard.close()
  }
  t.ok(guards.some(({ guard }) => guard.snapshot().lenient['everybody-looks-alike'] > 0))
})

t.test('who is freed is not blocked again for what was counted together before', async (t) => {
  const { clock, guards } = fleetOf(4)
  const [one, other] = guards
  for (const { send } of guards) send('192.0.2.1', 40)
  await clock.advance(2000)
  t.match(one?.guard.list(), [{ address: '192.0.2.1' }])
  await other?.guard.unblock('192.0.2.1')
  await clock.advance(0)
  t.equal(one?.send('192.0.2.1', 60), 0)
  await clock.advance(3000)
  for (const { guard } of guards) {
    t.same(guard.list(), [])
    guard.close()
  }
})

t.test('a store that fails half way through is told the rest at the next opportunity', async (t) => {
  const { clock, store, guards, join } = fleetOf(1)
  for (let at = 0; at < 150; at += 1) await guards[0]?.guard.block(`10.0.0.${at}`)
  await clock.advance(1000)
  store.lose()
  await store.hold('192.0.2.1', minute, 'of somebody who was quicker')
  const restore = store.restore.bind(store)
  let left = 70
  store.restore = async (block) => {
    left -= 1
    if (left < 0) throw new Error('out of time')
    return restore(block)
  }
  await clock.advance(1000)
  store.restore = restore
  await clock.advance(2000)
  const late = join()
  await late.guard.sync()
  t.equal(late.guard.snapshot().blocked, 151)
  late.guard.close()
  guards[0]?.guard.close()
})

t.test('a store that takes no writes is still read', async (t) => {
  const { clock, store, guards } = fleetOf(2)
  const [one, other] = guards
  await one?.guard.block('192.0.2.1')
  await clock.advance(0)
  const { lift, hold } = store
  store.lift = store.hold = async () => {
    throw new Error('READONLY')
  }
  t.same(await other?.guard.unblock('192.0.2.1'), { lifted: ['192.0.2.1'], shared: false })
  await hold.call(store, '192.0.2.2', minute, 'x')
  await clock.advance(1000)
  t.same(
    other?.guard.list().map(({ address }) => address),
    ['192.0.2.2'],
    'what is freed here stays free, and what is new is known',
  )
  Object.assign(store, { lift, hold })
  await clock.advance(1000)
  t.equal(one?.send('192.0.2.1', 1), 0)
  for (const { guard } of guards) guard.close()
})

t.test(
  'what a person decides while the store is away stands, also against what the store knows',
  async (t) => {
    const { clock, store, guards } = fleetOf(2)
    const [one, other] = guards
    one?.send('192.0.2.1', 101)
    await clock.advance(0)
    store.down = true
    t.match(await other?.guard.block('192.0.2.1', { ms: 600 * minute, reason: 'a person' }), {
      shared: false,
    })
    t.equal(other?.guard.snapshot().fleet?.pendingOrders, 1)
    await clock.advance(minute)
    store.down = false
    other?.guard.reconnected()
    await clock.advance(2000)
    for (const { guard } of guards) {
      t.match(guard.list(), [{ reason: 'a person', origin: 'manual', shared: true }])
      const retryAfterMs = guard.blockOf('192.0.2.1')?.retryAfterMs ?? 0
      t.ok(retryAfterMs <= 599 * minute && retryAfterMs > 598 * minute, String(retryAfterMs))
    }

    store.down = true
    await one?.guard.block('192.0.2.9', { ms: 1000 })
    await clock.advance(5000)
    store.down = false
    await clock.advance(1000)
    t.equal(one?.guard.snapshot().fleet?.pendingOrders, 0, 'what has ended meanwhile is not told')
    t.equal(other?.send('192.0.2.9', 1), 0)
    for (const { guard } of guards) guard.close()
  },
)

t.test('the answer to a block that comes late does not undo what a person decided since', async (t) => {
  const { clock, store, guards } = fleetOf(1)
  const [one] = guards
  const punish = store.punish.bind(store)
  const gate = Promise.withResolvers<void>()
  store.punish = async (...args) => {
    const block = await punish(...args)
    await gate.promise
    return block
  }
  const lift = store.lift.bind(store)
  const lifting = Promise.withResolvers<void>()
  store.lift = async (address) => {
    await lifting.promise
    return lift(address)
  }
  one?.send('192.0.2.1', 101)
  const unblocked = one?.guard.unblock('192.0.2.1')
  gate.resolve()
  await clock.advance(0)
  t.equal(one?.send('192.0.2.1', 1), 0)
  lifting.resolve()
  t.match(await unblocked, { shared: true })
  await clock.advance(1000)
  t.equal(one?.send('192.0.2.1', 1), 0)
  one?.guard.close()
})

/** A store that answers later, all at once, as Redis answers a batch; `calls` are those that lift. */
function withBatchedLifts(store: MemoryBlockStore) {
  const lift = store.lift.bind(store)
  const seen = { calls: 0, batch: Promise.withResolvers<void>() }
  store.lift = async (address) => {
    seen.calls += 1
    const found = await lift(address)
    await seen.batch.promise
    return found
  }
  return seen
}

t.test('addresses that are freed at the same time are each told once, and each is found', async (t) => {
  const { clock, store, guards, join } = fleetOf(1)
  const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3']
  for (const address of addresses) guards[0]?.send(address, 101)
  await clock.advance(0)
  const late = join()
  const seen = withBatchedLifts(store)
  const unblocked = addresses.map((address) => late.guard.unblock(address))
  await clock.advance(0)
  seen.batch.resolve()
  t.same(
    await Promise.all(unblocked),
    addresses.map((address) => ({ lifted: [address], shared: true })),
  )
  t.equal(seen.calls, 3)
  guards[0]?.guard.close()
})

t.test('an address is found beside the network around it, which only this process knew', async (t) => {
  const { clock, store, guards, join } = fleetOf(1)
  await store.hold('2001:db8:1:2::/64', minute, 'known to others')
  const cut = { available: false, run() {}, key() {}, subscribe() {}, onStateChange() {} }
  const late = join({ redis: cut as never })
  await late.guard.block('2001:db8:1::/56')
  cut.available = true
  const seen = withBatchedLifts(store)
  const unblocked = late.guard.unblock('2001:db8:1:2::1')
  await clock.advance(0)
  seen.batch.resolve()
  t.match(await unblocked, { lifted: ['2001:db8:1::/56', '2001:db8:1:2::/64'], shared: true })
  t.equal(seen.calls, 2)
  guards[0]?.guard.close()
})

t.test('who frees an address that somebody else is freeing hears the same', async (t) => {
  const { clock, store, guards, join } = fleetOf(1)
  for (const address of ['192.0.2.1', '192.0.2.2']) guards[0]?.send(address, 101)
  await clock.advance(0)
  const late = join()
  const seen = withBatchedLifts(store)
  const unblocked = ['192.0.2.1', '192.0.2.2', '192.0.2.2'].map((address) => late.guard.unblock(address))
  await clock.advance(0)
  seen.batch.resolve()
  t.match(await Promise.all(unblocked), [
    { lifted: ['192.0.2.1'], shared: true },
    { lifted: ['192.0.2.2'], shared: true },
    { lifted: ['192.0.2.2'], shared: true },
  ])
  t.equal(seen.calls, 2)
  guards[0]?.guard.close()
})

t.test('what was given up for something newer is not said to be known', async (t) => {
  const { clock, store, guards } = fleetOf(1)
  const [one] = guards
  const seen = withBatchedLifts(store)
  const first = one?.guard.unblock('192.0.2.1')
  const second = one?.guard.unblock('192.0.2.2')
  const block = one?.guard.block('192.0.2.2')
  await clock.advance(0)
  seen.batch.resolve()
  t.same(await first, { lifted: [], shared: true })
  t.same(await second, { lifted: [], shared: false })
  t.match(await block, { shared: true })
  t.equal(seen.calls, 1)
  one?.guard.close()
})

t.test('who is freed in one process is counted from 0 in all, also where no block runs', async (t) => {
  const { clock, guards } = fleetOf(2)
  const [one, other] = guards
  other?.send('192.0.2.1', 12)
  await clock.advance(0)
  await one?.guard.unblock('192.0.2.1')
  await clock.advance(0)
  t.match(other?.guard.explain('192.0.2.1').counts, [{ count: 0 }])
  t.equal(other?.send('192.0.2.1', 100), 0)
  for (const { guard } of guards) guard.close()
})

t.test('what was freed long ago does not take counts away when everything is read again', async (t) => {
  const { clock, guards } = fleetOf(2)
  const [one, other] = guards
  await one?.guard.unblock('192.0.2.1')
  await clock.advance(minute)
  other?.send('192.0.2.1', 12)
  other?.guard.reconnected()
  await clock.advance(0)
  t.match(other?.guard.explain('192.0.2.1').counts, [{ count: 12 }])
  for (const { guard } of guards) guard.close()
})
