import { once } from 'node:events'
import { HandClock, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import type { HeldByOther, RedisState } from '../src/index.ts'
import { FencedLeases, GuardedRedis, type Lease } from '../src/index.ts'

let redis: RealServer
let one: GuardedRedis
let two: GuardedRedis
t.before(async () => {
  redis = await startRedis()
  const guards = [1, 2].map(() => new GuardedRedis({ url: redis.url, budgetMs: 5000 }))
  ;[one, two] = guards as [GuardedRedis, GuardedRedis]
  for (const guard of guards) await guard.ready(10_000)
})
t.teardown(() => redis.stop())

function granted(answer: Lease | HeldByOther): Lease {
  if (!answer.held) throw new Error('somebody else holds it')
  return answer
}

const long = { leaseMs: 60_000 }

t.test('one process holds a name, and the others learn how long', async (t) => {
  const lease = granted(await one.lease.acquire('one', long))
  t.ok(Number.isSafeInteger(lease.fence))
  const other = await two.lease.acquire('one', long)
  t.match(other, { held: false, fence: lease.fence })
  t.ok(!other.held && other.retryAfterMs > 50_000 && other.retryAfterMs <= 60_000)
  t.equal(await lease.release(), true)
  t.equal(await lease.release(), false)
  t.ok(granted(await two.lease.acquire('one', long)).fence > lease.fence)
})

t.test('names keep apart, also those that look alike', async (t) => {
  const names = ['a', ['a', 'b'], ['b', 'a'], 'a:b', ['a:b', 'c'], ['a', 'b:c'], 'a}b', '{a}'] as const
  const fences = new Set<number>()
  for (const name of names) fences.add(granted(await one.lease.acquire(name, long)).fence)
  t.equal(fences.size, names.length)
})

t.test('all keys of a lease share a slot, and end by themselves', async (t) => {
  granted(await one.lease.acquire(['bots', 'user-7'], long))
  const keys = ((await one.call('KEYS', '*user-7*')) as Buffer[]).map(String).sort()
  t.strictSame(keys, ['hf:lease:{user-7}:bots:fence', 'hf:lease:{user-7}:bots:held'])
  for (const key of keys) t.ok(((await one.call('PTTL', key)) as number) > 0)
})

t.test('a lease that is not renewed ends, and its token is worth nothing then', async (t) => {
  const lost = granted(await one.lease.acquire('short', { leaseMs: 40 }))
  let next: Lease | HeldByOther | undefined
  await waitUntil(async () => {
    next = await two.lease.acquire('short', long)
    return next.held
  })
  t.ok((next?.fence ?? 0) > lost.fence)
  t.equal(await lost.renew(), false)
  t.equal(await lost.release(), false)
  t.match(await one.lease.acquire('short', long), { held: false, fence: next?.fence })
})

t.test('a renewed lease starts its time anew', async (t) => {
  const lease = granted(await one.lease.acquire('renewed', { leaseMs: 60_000 }))
  await one.call('PEXPIRE', one.key('lease', 'renewed', 'held'), 1000)
  t.equal(await lease.renew(), true)
  t.ok(((await one.call('PTTL', one.key('lease', 'renewed', 'held'))) as number) > 50_000)
})

t.test('fences grow when Redis forgets everything, and when its clock was ahead before', async (t) => {
  const first = granted(await one.lease.acquire('fences', long))
  await one.call('FLUSHALL')
  const second = granted(await two.lease.acquire('fences', long))
  t.ok(second.fence > first.fence)
  await second.release()
  const ahead = second.fence + 3_600_000_000
  await one.call('SET', one.key('lease', 'fences', 'fence'), String(ahead))
  t.equal(granted(await one.lease.acquire('fences', long)).fence, ahead + 1)
})

t.test('the same question asked again gets the same lease', async (t) => {
  const { acquireScript } = await import('../src/lease-scripts.ts')
  const keys = [one.key('lease', 'again', 'held'), one.key('lease', 'again', 'fence')]
  const ask = (token: string) => one.run(acquireScript, keys, [token, 60_000, 60_000])
  const first = await ask('token')
  t.match(first, { held: true })
  t.strictSame(await ask('token'), first)
  t.match(await ask('other'), { held: false, fence: first.fence })
})

t.test('run works under a lease that is kept, gives it back, and says who works else', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let fence = 0
  const running = one.lease.run('run', { leaseMs: 3000 }, async (context) => {
    fence = context.fence
    await promise
    return context.signal.aborted ? 'lost' : 'done'
  })
  await waitUntil(() => fence > 0)
  const held = one.key('lease', 'run', 'held')
  const leftMs = async () => (await one.call('PTTL', held)) as number
  await one.call('PEXPIRE', held, 2500)
  await waitUntil(async () => (await leftMs()) > 2500, { what: 'a renewal' })
  let ran = false
  const refused = await two.lease.run('run', long, () => {
    ran = true
  })
  t.match(refused, { held: false, fence })
  t.equal(ran, false)
  resolve()
  t.strictSame(await running, { held: true, fence, value: 'done' })
  t.ok((await two.lease.acquire('run', long)).held)
})

t.test('run gives the lease back when the work fails, and rejects with what it threw', async (t) => {
  const thrown = new Error('no')
  await t.rejects(
    one.lease.run('failing', long, () => Promise.reject(thrown)),
    thrown,
  )
  t.ok((await two.lease.acquire('failing', long)).held)
})

t.test('the signal of run aborts when the lease is taken away', async (t) => {
  const running = one.lease.run('taken', { leaseMs: 1500 }, async ({ signal }) => {
    await one.call('DEL', one.key('lease', 'taken', 'held'))
    granted(await two.lease.acquire('taken', long))
    if (!signal.aborted) await once(signal, 'abort')
    return (signal.reason as { code: string }).code
  })
  t.match(await running, { held: true, value: 'HOLDFAST_ERR_REDIS_GUARD_LEASE_LOST' })
  t.match(await one.lease.acquire('taken', long), { held: false }, 'what is held by another stays held')
})

t.test("run knows its caller's signal, before and during the work", async (t) => {
  const reason = new Error('stop')
  await t.rejects(
    one.lease.run('signal', { ...long, signal: AbortSignal.abort(reason) }, () => 1),
    reason,
  )
  const controller = new AbortController()
  const running = one.lease.run('signal', { ...long, signal: controller.signal }, async ({ signal }) => {
    controller.abort(reason)
    signal.throwIfAborted()
  })
  await t.rejects(running, reason)
  t.ok((await two.lease.acquire('signal', long)).held)
})

t.test('keep is asked twice and beats once; its signal says when Redis fell silent', async (t) => {
  const alone = await startRedis()
  const guard = new GuardedRedis({ url: alone.url, budgetMs: 5000 })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(10_000), true)
  const lease = granted(await guard.lease.acquire('kept', { leaseMs: 2000 }))
  const signal = lease.keep()
  t.equal(lease.keep(), signal)
  await alone.stop()
  await waitUntil(() => signal.aborted)
  t.match(signal.reason, { code: 'HOLDFAST_ERR_REDIS_GUARD_LEASE_LOST', message: /did not confirm/ })
  await t.rejects(lease.release(), { code: /HOLDFAST_ERR_REDIS_GUARD_(UNAVAILABLE|LOST)/ })
  await t.rejects(guard.lease.acquire('kept', long), { code: 'HOLDFAST_ERR_REDIS_GUARD_UNAVAILABLE' })
})

t.test('what a work came to does not depend on Redis', async (t) => {
  const alone = await startRedis()
  const guard = new GuardedRedis({ url: alone.url, budgetMs: 5000 })
  t.teardown(() => guard.close())
  t.equal(await guard.ready(10_000), true)
  const result = await guard.lease.run('work', long, async () => {
    await alone.stop()
    return 'done'
  })
  t.match(result, { held: true, value: 'done' })
})

t.test('a lease whose grant was not heard of is given back', async (t) => {
  let runs = 0
  const deaf = new FencedLeases(
    {
      available: true,
      onStateChange: () => () => undefined,
      key: one.key.bind(one),
      async run(script, keys, args) {
        runs += 1
        const reply = await one.run(script, keys, args)
        if (runs === 1) throw new Error('the reply was lost')
        return reply
      },
    },
    { clock: { nowMs: () => 0, wallMs: () => 0, schedule: () => () => undefined }, ownerName: 'deaf' },
  )
  await t.rejects(deaf.acquire('unheard', long), /lost/)
  await waitUntil(async () => (await two.lease.acquire('unheard', long)).held)
})

t.test('a lease whose grant was not heard of is given back when Redis is there again', async (t) => {
  const listeners = new Set<Parameters<GuardedRedis['onStateChange']>[0]>()
  const away = { available: true }
  const deaf = (mayHaveRun: boolean | undefined) =>
    new FencedLeases(
      {
        get available() {
          return away.available
        },
        onStateChange(listener) {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
        key: one.key.bind(one),
        async run(script, keys, args) {
          const reply = await one.run(script, keys, args)
          if (script.name !== 'lease-acquire') return reply
          away.available = false
          throw Object.assign(new Error('the reply was lost'), { mayHaveRun })
        },
      },
      {
        clock: { nowMs: () => 0, wallMs: () => 0, schedule: () => () => undefined },
        ownerName: `deaf-${mayHaveRun}`,
      },
    )
  await t.rejects(deaf(true).acquire('frozen', long), /lost/)
  t.equal((await two.lease.acquire('frozen', long)).held, false)
  for (const state of ['down', 'up'] as const) {
    for (const listener of listeners) listener(state, undefined)
  }
  await waitUntil(async () => (await two.lease.acquire('frozen', long)).held)
  t.equal(listeners.size, 0)
  await t.rejects(deaf(false).acquire('refused', long), /lost/)
  t.equal(listeners.size, 0, 'what was not carried out has nothing to give back')
})

t.test(
  'a lease whose grant was not heard of is given back until Redis hears of it, or it has ended',
  async (t) => {
    const clock = new HandClock()
    const listeners = new Set<(state: RedisState, reason: string | undefined) => void>()
    let available = true
    let answers = false
    const asked: string[] = []
    const lost = new FencedLeases(
      {
        get available() {
          return available
        },
        onStateChange(listener) {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
        key: one.key.bind(one),
        async run(script) {
          asked.push(script.name)
          if (answers && script.name === 'lease-release') return true as never
          available = false
          throw Object.assign(new Error('the reply was lost'), { mayHaveRun: true })
        },
      },
      { clock, ownerName: 'lost' },
    )
    const comeBack = async () => {
      available = true
      for (const listener of [...listeners]) listener('up', undefined)
      await clock.advance(0)
    }
    await t.rejects(lost.acquire('name', { leaseMs: 1000 }))
    await comeBack()
    await comeBack()
    t.equal(listeners.size, 1, 'it is lost again each time')
    answers = true
    await comeBack()
    t.strictSame([listeners.size, asked.length], [0, 4])
    answers = false
    await t.rejects(lost.acquire('name', { leaseMs: 1000 }))
    await clock.advance(1001)
    await comeBack()
    t.equal(listeners.size, 0, 'it has ended by itself')
  },
)

t.test('a lease of no length is refused', async (t) => {
  for (const leaseMs of [0, -1, 0.5, Number.NaN, 2_147_483_648, '1s' as unknown as number]) {
    await t.rejects(one.lease.acquire('length', { leaseMs }), { code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION' })
  }
})

t.test('a guard closes with leases that are held; they end by themselves', async (t) => {
  granted(await one.lease.acquire('left', long)).keep()
  await Promise.all([one.close(), two.close()])
  await t.rejects(one.lease.acquire('closed', long), { code: 'HOLDFAST_ERR_REDIS_GUARD_CLOSED' })
})
