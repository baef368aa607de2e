import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { GuardedRedis, type GuardedRedisOptions, type RedisScript } from '../src/index.ts'

const server = await startRedis()
t.teardown(() => server.stop())

const add: RedisScript<number> = {
  name: 'add',
  lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  keys: 1,
  decode: Number,
}

/** Patient: what is answered here does not depend on how busy the machine is. Tests about time say their own. */
async function guardOf(t: Test, options: GuardedRedisOptions = {}): Promise<GuardedRedis> {
  const guard = new GuardedRedis({ url: server.url, budgetMs: 10_000, connectTimeoutMs: 10_000, ...options })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(10_000), true)
  return guard
}

const patient = { budgetMs: 10_000 }

/** How a call ended that should not have been answered. */
async function ended(work: Promise<unknown>): Promise<{ code?: unknown; mayHaveRun?: unknown }> {
  return work.then(
    () => ({ code: 'answered' }),
    (error) => error,
  )
}

t.test('a script and a plain command are answered, byte for byte', async (t) => {
  const guard = await guardOf(t)
  const key = guard.key('test', 'a', 'n')
  t.equal(await guard.run(add, [key], [2]), 2)
  t.equal(await guard.run(add, [key], [3]), 5)
  const bytes = Buffer.from([0, 255, 10, 13])
  t.strictSame(await guard.call('SET', guard.key('test', 'b'), bytes), Buffer.from('OK'))
  t.strictSame(await guard.call('GET', guard.key('test', 'b')), bytes)
  t.match(guard.snapshot(), { scriptLoads: 1, calls: { ok: 4 }, inFlight: 0, state: 'up' })
  t.match(guard.healthCheck(), { status: 'healthy', data: { state: 'up', breaker: 'closed' } })
})

t.test('a script that fails in Redis fails its caller and opens nothing', async (t) => {
  const guard = await guardOf(t)
  await guard.call('SET', 'text', 'no number')
  const failure = { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT', mayHaveRun: true }
  await t.rejects(guard.run(add, ['text'], [1]), { ...failure, message: /not an integer/ })
  await t.rejects(guard.run({ ...add, lua: 'not lua' }, ['a'], []), { ...failure, message: /compiling/ })
  await t.rejects(guard.call('HGET', 'text', 'a'), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_COMMAND',
    message: /WRONGTYPE/,
  })
  const unreadable: RedisScript = {
    ...add,
    decode: () => {
      throw new Error('no')
    },
  }
  await t.rejects(guard.run(unreadable, ['n'], [1]), { ...failure, message: /could not be decoded/ })
  t.equal(guard.available, true)
  t.match(guard.snapshot().calls, { failed: 4, ok: 1 })
})

t.test('a frozen server costs the first call its budget, and later ones nothing', async (t) => {
  const guard = await guardOf(t, { budgetMs: 50, heartbeatMs: 60_000 })
  await guard.run(add, ['n'], [1], patient)
  server.freeze()
  t.teardown(() => server.thaw())
  const first = await ended(guard.run(add, ['n'], [1]))
  t.match(first, { code: 'HOLDFAST_ERR_REDIS_GUARD_BUDGET', mayHaveRun: true })
  t.equal(guard.available, false)
  const { commands } = guard.snapshot()
  const later = await ended(guard.run(add, ['n'], [1]))
  t.equal(guard.snapshot().commands, commands, 'nothing was sent')
  t.match(later, { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE', mayHaveRun: false })
  t.match(guard.healthCheck(), { status: 'unhealthy', reason: 'no answer within 50 ms' })
  server.thaw()
  t.equal(await guard.ready(10_000), true)
  t.equal(guard.snapshot().inFlight, 0)
})

t.test('a call keeps its own budget', async (t) => {
  const guard = await guardOf(t, { heartbeatMs: 60_000 })
  server.freeze()
  t.teardown(() => server.thaw())
  const order: number[] = []
  const calls = [200, 10].map(async (budgetMs) => {
    const message = new RegExp(`within ${budgetMs} ms`)
    await t.rejects(guard.run(add, ['n'], [1], { budgetMs }), { message })
    order.push(budgetMs)
  })
  await Promise.all(calls)
  t.strictSame(order, [10, 200])
})

t.test('a process that was busy itself takes the answer that lies there', async (t) => {
  const guard = await guardOf(t, { url: server.directUrl, budgetMs: 50, heartbeatMs: 60_000 })
  await guard.run(add, ['n'], [1], patient)
  const answer = guard.run(add, ['n'], [1])
  const untilMs = performance.now() + 500
  while (performance.now() < untilMs);
  t.type(await answer, 'number')
  t.equal(guard.available, true)
})

t.test('calls without a reply are bounded, also when their callers have gone', async (t) => {
  const guard = await guardOf(t, { maxInFlight: 3, heartbeatMs: 60_000, budgetMs: 50 })
  server.freeze()
  t.teardown(() => server.thaw())
  const controller = new AbortController()
  const { signal } = controller
  const aborted = [1, 2].map((by) => ended(guard.run(add, ['n'], [by], { signal })))
  controller.abort()
  for (const { code, mayHaveRun } of await Promise.all(aborted)) {
    t.equal(code, 'HOLDFAST_ERR_REDIS_GUARD_ABORTED')
    t.equal(mayHaveRun, true)
  }
  t.equal((await ended(guard.run(add, ['n'], [1], { signal }))).mayHaveRun, false)
  const third = ended(guard.call('PING'))
  t.equal(guard.snapshot().inFlight, 3)
  const fourth = await ended(guard.call('PING'))
  t.match(fourth, { code: 'HOLDFAST_ERR_REDIS_GUARD_FULL', mayHaveRun: false })
  t.equal((await third).code, 'HOLDFAST_ERR_REDIS_GUARD_BUDGET')
  server.thaw()
  t.equal(await guard.ready(10_000), true)
  t.match(guard.snapshot(), { inFlight: 0, calls: { aborted: 3, full: 1, budget: 1, ok: 0 } })
})

t.test('a connection that ends under a call says that it may have run, and is made again', async (t) => {
  const guard = await guardOf(t)
  server.blackhole()
  t.teardown(() => server.heal())
  const lost = ended(guard.call('PING'))
  server.proxy.reset()
  t.match(await lost, { code: 'HOLDFAST_ERR_REDIS_GUARD_LOST', mayHaveRun: true })
  t.equal(guard.available, false)
  await server.heal()
  t.equal(await guard.ready(10_000), true)
})

t.test('what the server forgot is sent again, once, and runs once', async (t) => {
  const guard = await guardOf(t)
  const key = guard.key('test', 'flush', t.name)
  const batched = { ...add, batch: true }
  await guard.run(add, [key], [1])
  await guard.run(batched, [key], [1])
  await guard.call('SCRIPT', 'FLUSH')
  await Promise.all(Array.from({ length: 20 }, () => guard.run(add, [key], [1])))
  await Promise.all(Array.from({ length: 20 }, () => guard.run(batched, [key], [1])))
  t.equal(await guard.run(add, [key], [0]), 42)
})

t.test('what a script says in the words of a server is its own error, and it runs once', async (t) => {
  const guard = await guardOf(t)
  const key = guard.key('test', 'own words')
  const says: RedisScript = {
    name: 'says',
    lua: "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])",
    keys: 1,
  }
  const own = [
    'BUSY the seat is taken',
    'READONLY account',
    'CLUSTERDOWN',
    'LOADING',
    'NOAUTH',
    'NOSCRIPT here',
  ]
  for (const batch of [false, true]) {
    for (const words of own) {
      await t.rejects(guard.run({ ...says, batch }, [key], [words]), {
        code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT',
        message: new RegExp(words),
        mayHaveRun: true,
      })
      t.equal(guard.available, true, words)
    }
  }
  t.equal(Number(await guard.call('GET', key)), 2 * own.length)
})

t.test('a script that answers as if Redis did not know it is sent in full once', async (t) => {
  const guard = await guardOf(t)
  const key = guard.key('test', 'forger')
  const forger: RedisScript = {
    name: 'forger',
    lua: "redis.call('INCR', KEYS[1]) return redis.error_reply('NOSCRIPT No matching script.')",
    keys: 1,
  }
  await t.rejects(guard.run(forger, [key], []), { code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT', mayHaveRun: true })
  t.equal(Number(await guard.call('GET', key)), 1)
})

t.test('a call with very many arguments is answered', async (t) => {
  const guard = await guardOf(t)
  const keys = Array.from({ length: 70_000 }, () => 'x')
  const many: RedisScript = { name: 'many', lua: 'return #ARGV', keys: 0 }
  t.equal(await guard.run(many, [], keys), keys.length)
  t.equal(await guard.call('DEL', ...keys), 0)
  t.match(guard.snapshot(), { inFlight: 0, state: 'up' })
})

t.test('a call that the client cannot write fails alone, and leaves nothing behind', async (t) => {
  const pattern = new Redis(server.url, { lazyConnect: true })
  t.teardown(() => pattern.disconnect())
  const duplicate = (overrides: object) => {
    const client = pattern.duplicate(overrides)
    const { callBuffer } = client
    client.callBuffer = ((command: string, ...args: string[]) => {
      if (args.flat().includes('too long')) throw new RangeError('Invalid string length')
      if (args.flat().includes('too late')) return Promise.reject(new Error("Stream isn't writeable"))
      return callBuffer.call(client, command, ...args)
    }) as typeof callBuffer
    return client
  }
  const guard = new GuardedRedis({
    client: { isCluster: false, options: {}, duplicate },
    heartbeatMs: 60_000,
  })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(10_000), true)
  const failure = { message: /Invalid string length/, mayHaveRun: false }
  const ofScript = { ...failure, code: 'HOLDFAST_ERR_REDIS_GUARD_SCRIPT' }
  await t.rejects(guard.call('SET', 'a', 'too long'), {
    ...failure,
    code: 'HOLDFAST_ERR_REDIS_GUARD_COMMAND',
  })
  await t.rejects(guard.run(add, ['a'], ['too long']), ofScript)
  await t.rejects(guard.run({ ...add, batch: true }, ['a'], ['too long']), ofScript)
  await sleep(60)
  t.match(guard.snapshot(), { inFlight: 0, state: 'up', calls: { failed: 3, budget: 0 } })
  await t.rejects(guard.run(add, ['a'], ['too late']), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_LOST',
    mayHaveRun: false,
  })
  t.match(guard.snapshot(), {
    inFlight: 0,
    state: 'down',
    calls: { lost: 1 },
    roundTrips: 0,
    roundTripSumMs: 0,
  })
})

t.test('the arguments are those of the moment of the call, whatever becomes of their list', async (t) => {
  const guard = await guardOf(t)
  const key = guard.key('test', 'moment')
  const fresh = { ...add, lua: `${add.lua} -- not known to Redis` }
  for (const batch of [false, true]) {
    const args = [1]
    const keys = [key]
    const answer = guard.run({ ...fresh, batch }, keys, args)
    args[0] = 100
    args.push(5)
    keys[0] = 'other'
    await answer
  }
  t.equal(Number(await guard.call('GET', key)), 2)
})

t.test('calls of one turn leave in one write, each a command of its own', async (t) => {
  const guard = await guardOf(t, { heartbeatMs: 60_000 })
  await guard.run(add, ['n'], [1])
  let chunks = 0
  server.proxy.onClientData = () => {
    chunks += 1
  }
  t.teardown(() => {
    server.proxy.onClientData = undefined
  })
  const { commands } = guard.snapshot()
  await Promise.all(Array.from({ length: 32 }, () => guard.run(add, ['n'], [1])))
  t.equal(guard.snapshot().commands, commands + 32)
  t.equal(chunks, 1)
})

t.test('the breaker can be isolated, and the state tells everybody', async (t) => {
  const guard = await guardOf(t, { heartbeatMs: 20 })
  const states: string[] = []
  const warned = once(process, 'warning')
  guard.onStateChange(() => {
    throw new Error('a listener')
  })
  const forget = guard.onStateChange((state, reason) => states.push(`${state} ${reason}`))
  const release = guard.breaker.isolate('maintenance')
  t.equal(guard.available, false)
  await t.rejects(guard.call('PING'), { message: /maintenance/ })
  release()
  await waitUntil(() => guard.available)
  forget()
  t.strictSame(states, ['down maintenance', 'up undefined'])
  t.match((await warned)[0], { message: 'a listener' })
})
