import { GuardedRedis, type GuardedRedisOptions } from '@holdfast/redis-guard'
import { contractSuite, HandClock, startRedis, startRedisCluster, waitUntil } from '@holdfast/test-kit'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { readMessage } from '../src/fleet-scripts.ts'
import type { AcquireRequest, FleetMessage, FleetStore, Landing } from '../src/fleet-store.ts'
import { RedisFleetStore } from '../src/redis-fleet-store.ts'
import { FleetMemory } from './memory-fleet-store.ts'

/** Two processes' ways to one store, and what one of them heard. */
interface Subject {
  readonly one: FleetStore
  readonly two: FleetStore
  readonly heard: FleetMessage[]
  /** Waits for the condition; by hand, time moves on meanwhile. */
  until(condition: () => Promise<boolean> | boolean): Promise<void>
  /** So much of the time passes that leases, values and failures have. */
  elapse(ms: number): Promise<unknown>
  /** Loses all data. */
  flush(): unknown
  readonly close: () => Promise<void>
}

/** The half of a time, beside which the seconds that a busy machine may lose do not count. */
const HALF_MS = 300_000

let namespaces = 0

const memory = {
  name: 'memory',
  setUp: (): Subject => {
    const clock = new HandClock()
    const shared = new FleetMemory(clock)
    const [one, two] = [shared.connect(), shared.connect()]
    const heard: FleetMessage[] = []
    two.listen({
      onMessage: (message) => heard.push(message),
      onGap() {},
      onUnavailable() {},
      onAvailable() {},
    })
    return {
      one,
      two,
      heard,
      async until(condition) {
        for (let step = 0; !(await condition()); step += 1) {
          if (step > 1000) throw new Error('it did not come true')
          await clock.advance(5)
        }
      },
      elapse: (ms) => clock.advance(ms),
      flush: () => shared.flush(),
      async close() {},
    }
  },
}

/** A Redis, and the connections of two processes to it. */
interface World {
  readonly settings: GuardedRedisOptions
  /** Of every node. */
  readonly urls: readonly string[]
  stop(): Promise<void>
}

/** What takes from the time that each key of a Redis has left: the wall clock of a server cannot be moved. */
const elapseLua = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then redis.call('PEXPIRE', key, left_ms - tonumber(ARGV[1])) end
end`

async function onEvery(urls: readonly string[], work: (client: Redis) => Promise<unknown>): Promise<void> {
  for (const url of urls) {
    const client = new Redis(url)
    await work(client)
    client.disconnect()
  }
}

function onRedis(name: string, start: () => Promise<World>) {
  let world: World
  let guards: GuardedRedis[] = []
  return {
    name,
    async open() {
      world = await start()
      // Generous: this is about what is answered, on a machine that may be busy.
      guards = [1, 2].map(() => new GuardedRedis({ ...world.settings, budgetMs: 5000 }))
      for (const guard of guards) await guard.ready(10_000)
    },
    async setUp(): Promise<Subject> {
      namespaces += 1
      const [one, two] = guards.map((guard) => new RedisFleetStore(guard, `suite-${namespaces}`)) as [
        RedisFleetStore,
        RedisFleetStore,
      ]
      const heard: FleetMessage[] = []
      const close = two.listen({
        onMessage: (message) => heard.push(message),
        onGap() {},
        onUnavailable() {},
        onAvailable() {},
      })
      await waitUntil(() => two.listening)
      return {
        one,
        two,
        heard,
        until: (condition) => waitUntil(condition),
        elapse: (ms) => onEvery(world.urls, (client) => client.eval(elapseLua, 0, ms)),
        flush: () => onEvery(world.urls, (client) => client.flushall()),
        async close() {
          close()
        },
      }
    },
    tearDown: (subject: Subject) => subject.close(),
    async close() {
      for (const guard of guards) await guard.close()
      await world.stop()
    },
  }
}

const single = onRedis('Redis', async () => {
  const redis = await startRedis()
  return {
    settings: { url: redis.url },
    urls: [redis.url],
    stop: () => redis.stop(),
  }
})

const cluster = onRedis('Redis Cluster', async () => {
  const nodes = await startRedisCluster()
  return {
    settings: { cluster: nodes.addresses },
    urls: nodes.nodes.map(({ directUrl }) => directUrl),
    stop: () => nodes.stop(),
  }
})

const NOTHING = Buffer.alloc(0)
const ask = (token: string, more: Partial<AcquireRequest> = {}): AcquireRequest => ({
  id: 'k1:a',
  token,
  leaseMs: 60_000,
  minFence: 0,
  minIntervalMs: 0,
  ...more,
})
const value = (text: string | Buffer, ttlMs = 60_000): Landing => ({
  kind: 'value',
  payload: Buffer.from(text as string),
  ttlMs,
})

async function lead(store: FleetStore, request: AcquireRequest): Promise<number> {
  const answer = await store.acquire(request)
  if (answer.kind !== 'lead') throw new Error(`expected a lease, got ${answer.kind}`)
  return answer.fence
}

await contractSuite<Subject, Test>(t, 'a store of a fleet', [memory, single, cluster], {
  'grants a lease once, and says to others how long it runs': async (t, { one, two }) => {
    const fence = await lead(one, ask('first'))
    const answer = await two.acquire(ask('second'))
    t.match(answer, { kind: 'wait', fence, stale: undefined })
    t.ok(answer.kind === 'wait' && answer.leftMs > 50_000 && answer.leftMs <= 60_000)
  },
  'answers the same lease to the same token again': async (t, { one }) => {
    const fence = await lead(one, ask('first'))
    t.equal(await lead(one, ask('first')), fence)
  },
  'keeps ids apart': async (t, { one, two }) => {
    await lead(one, ask('first'))
    t.ok(await lead(two, ask('second', { id: 'k1:b' })))
  },
  'a published value is there for all, and ends the lease': async (t, { one, two, heard, until }) => {
    const fence = await lead(one, ask('first'))
    t.equal(await one.publish('k1:a', 'first', value('bytes')), true)
    t.match(await two.acquire(ask('second')), { kind: 'value', fence, payload: Buffer.from('bytes') })
    await until(() => heard.length === 1)
    t.match(heard[0], { kind: 'value', id: 'k1:a', fence, payload: Buffer.from('bytes') })
    t.equal(await one.publish('k1:a', 'first', value('again')), false)
  },
  'carries any bytes': async (t, { one, two, heard, until }) => {
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256))
    await lead(one, ask('first'))
    await one.publish('k1:a', 'first', value(bytes))
    const answer = await two.acquire(ask('second'))
    t.ok(answer.kind === 'value' && answer.payload.equals(bytes))
    await until(() => heard.length === 1)
    t.ok(heard[0]?.payload.equals(bytes))
    await lead(one, ask('empty', { id: 'k1:b' }))
    await one.publish('k1:b', 'empty', value(''))
    t.match(await two.acquire(ask('x', { id: 'k1:b' })), { kind: 'value', payload: NOTHING })
  },
  'sends values of up to 16 kB along, and tells of larger ones': async (t, { one, two, heard, until }) => {
    for (const [number, length] of [16_384, 16_385].entries()) {
      const id = `k${number}`
      await lead(one, ask('first', { id }))
      await one.publish(id, 'first', value('x'.repeat(length)))
      const answer = await two.acquire(ask('second', { id }))
      t.ok(answer.kind === 'value' && answer.payload.length === length)
    }
    await until(() => heard.length === 2)
    // The nodes of a cluster tell of their slots each on its own: in any order.
    const [small, large] = heard.toSorted((one, other) => one.id.localeCompare(other.id))
    t.match(small, { kind: 'value', id: 'k0' })
    t.equal(small?.payload.length, 16_384)
    t.match(large, { kind: 'landed', id: 'k1', payload: NOTHING })
  },
  'a failure keeps everybody from starting, until it has been there for its time': async (t, subject) => {
    const { one, two, heard, until, elapse } = subject
    const fence = await lead(one, ask('first'))
    const payload = Buffer.from('why')
    t.equal(await one.publish('k1:a', 'first', { kind: 'failure', payload, ttlMs: 2 * HALF_MS }), true)
    await until(() => heard.length === 1)
    t.match(heard[0], { kind: 'failure', fence, payload })
    await elapse(HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'failure', fence, payload })
    await elapse(HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'lead' })
  },
  'a failure with ttlMs 0 is told and not kept': async (t, { one, two, heard, until }) => {
    await lead(one, ask('first'))
    await one.publish('k1:a', 'first', { kind: 'failure', payload: Buffer.from('why'), ttlMs: 0 })
    await until(() => heard.length === 1)
    t.match(heard[0], { kind: 'failure' })
    t.ok(await lead(two, ask('second')))
  },
  'a value that is not shared says so, and a shared one after it replaces that': async (t, subject) => {
    const { one, two, heard, until, elapse } = subject
    const fence = await lead(one, ask('first'))
    await one.publish('k1:a', 'first', { kind: 'alone', payload: NOTHING, ttlMs: 2 * HALF_MS })
    await until(() => heard.length === 1)
    t.match(heard[0], { kind: 'alone', fence })
    await elapse(HALF_MS)
    t.strictSame(await two.acquire(ask('second')), { kind: 'alone', fence })
    await elapse(HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'lead' })
    await two.publish('k1:a', 'second', value('x'))
    t.match(await one.acquire(ask('third')), { kind: 'value' })
  },
  'a value is there for its time': async (t, { one, two, elapse }) => {
    await lead(one, ask('first'))
    await one.publish('k1:a', 'first', value('bytes', 2 * HALF_MS))
    await elapse(HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'value' })
    await elapse(HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'lead' })
  },
  'a lease ends by itself, and the next has a larger fence': async (t, { one, two, elapse }) => {
    const first = await lead(one, ask('first', { leaseMs: 2 * HALF_MS }))
    await elapse(HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'wait', fence: first })
    await elapse(HALF_MS)
    const second = await lead(two, ask('second'))
    t.ok(second > first)
    t.equal(await one.publish('k1:a', 'first', value('late')), false, 'a late publish is refused')
    t.equal(await one.renew('k1:a', 'first', 60_000), false)
    t.equal(await one.release('k1:a', 'first'), false)
    t.match(await one.acquire(ask('third')), { kind: 'wait', fence: second })
    t.equal(await two.publish('k1:a', 'second', value('new')), true)
  },
  'a renewed lease lives on': async (t, { one, two, elapse }) => {
    await lead(one, ask('first', { leaseMs: 2 * HALF_MS }))
    await elapse(HALF_MS)
    t.equal(await one.renew('k1:a', 'first', 2 * HALF_MS), true)
    await elapse(1.5 * HALF_MS)
    t.match(await two.acquire(ask('second')), { kind: 'wait' })
  },
  'a released lease is free at once, and everybody is told': async (t, { one, two, heard, until }) => {
    const fence = await lead(one, ask('first'))
    t.equal(await two.release('k1:a', 'other'), false)
    t.equal(await one.release('k1:a', 'first'), true)
    await until(() => heard.length === 1)
    t.match(heard[0], { kind: 'released', id: 'k1:a', fence })
    t.ok((await lead(two, ask('second'))) > fence)
  },
  'a result of too early a fence does not count, and is shown as stale': async (t, { one, two }) => {
    const fence = await lead(one, ask('first'))
    await one.publish('k1:a', 'first', value('old'))
    t.match(await two.acquire(ask('x', { minFence: fence })), { kind: 'value' })
    t.ok((await lead(two, ask('second', { minFence: fence + 1 }))) > fence)
    t.match(await one.acquire(ask('third', { minFence: fence + 1 })), {
      kind: 'wait',
      stale: { fence, payload: Buffer.from('old') },
    })
  },
  'grants at most once in an interval': async (t, { one, two, until }) => {
    const minIntervalMs = HALF_MS
    const fence = await lead(one, ask('first', { minIntervalMs }))
    await one.release('k1:a', 'first')
    const limited = await two.acquire(ask('second', { minIntervalMs }))
    t.match(limited, { kind: 'wait', fence })
    t.ok(limited.kind === 'wait' && limited.leftMs > 0 && limited.leftMs <= minIntervalMs)
    // Who asks for a short one is held back by a short one.
    await until(async () => (await two.acquire(ask('second', { minIntervalMs: 50 }))).kind === 'lead')
  },
  'fences grow also when all data are lost': async (t, { one, two, flush, until }) => {
    const first = await lead(one, ask('first'))
    await flush()
    let second = 0
    // By hand, time stands still without help.
    await until(async () => {
      const answer = await two.acquire(ask('second'))
      second = answer.fence
      await two.release('k1:a', 'second')
      return second > first
    })
    t.ok(second > first)
  },
  'forgets value, failure and lease, and tells everybody with a new fence': async (t, subject) => {
    const { one, two, heard, until } = subject
    const first = await lead(one, ask('first'))
    await two.forget('k1:a')
    await until(() => heard.length === 1)
    t.match(heard[0], { kind: 'forgotten', id: 'k1:a' })
    t.ok((heard[0]?.fence ?? 0) > first)
    t.equal(await one.publish('k1:a', 'first', value('late')), false)
    t.ok((await lead(two, ask('second'))) > (heard[0]?.fence ?? 0))
    await two.publish('k1:a', 'second', value('x'))
    await one.forget('k1:a')
    t.match(await one.acquire(ask('third')), { kind: 'lead' })
  },
})

t.test('two namespaces of one Redis do not meet', async (t) => {
  const server = await startRedis()
  const guard = new GuardedRedis({ url: server.url, budgetMs: 5000 })
  await guard.ready(10_000)
  const [red, blue] = [new RedisFleetStore(guard, 'red'), new RedisFleetStore(guard, 'blue')]
  const heard: FleetMessage[] = []
  blue.listen({
    onMessage: (message) => heard.push(message),
    onGap() {},
    onUnavailable() {},
    onAvailable() {},
  })
  await waitUntil(() => blue.listening)
  await lead(red, ask('first'))
  await lead(blue, ask('second'))
  await red.publish('k1:a', 'first', value('red'))
  t.match(await blue.acquire(ask('third')), { kind: 'wait' })
  await blue.release('k1:a', 'second')
  await waitUntil(() => heard.length > 0)
  t.match(heard, [{ kind: 'released' }])
  await guard.close()
  await server.stop()
})

t.test('a message that is none is passed over', async (t) => {
  for (const text of ['', 'v', 'v:', 'v5:', 'v5:9:short', 'z5:1:a', 'vx:1:a', 'v5:x:a', 'v1:-5:a']) {
    t.equal(readMessage(Buffer.from(text)), undefined, text)
  }
  t.match(readMessage(Buffer.from('v17:2:idrest')), {
    kind: 'value',
    fence: 17,
    id: 'id',
    payload: Buffer.from('rest'),
  })
})
