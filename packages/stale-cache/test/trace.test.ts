/*
 * Random traces against a model that is too simple to be wrong: a source whose values only count up, and one rule
 * for each answer. Whatever the order of loads, writes, invalidations, failures and time, the cache must never
 * answer what the model forbids.
 */
import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import type { Row } from '../src/options.ts'
import { StaleCache } from '../src/stale-cache.ts'

const freshMs = 100
const staleMs = 400
const keys = ['a', 'b', 'c', 'd']

t.test('no order of events makes old replace new, stale look fresh, or expired look alive', async (t) => {
  for (let round = 0; round < 12; round += 1) {
    const random = seededRandom()
    random.announce(t)
    const clock = new HandClock()
    /** The number of each key's state at the source; it only grows. */
    const truth = new Map(keys.map((key) => [key, 1]))
    /** The largest number that the cache has accepted. */
    const accepted = new Map<string, number>()
    /** States read before this moment may not look fresh. */
    const outdatedAtMs = new Map<string, number>()
    const settles: (() => void)[] = []
    const cache = new StaleCache<number, undefined>('numbers', {
      load: (wanted) => {
        const rows = wanted.map((key): Row<number> => {
          const number = truth.get(key) ?? 0
          return { key, value: number, version: number, tags: [`tag-${key}`] }
        })
        const fails = random.next() < 0.3
        return new Promise((resolve, reject) => {
          settles.push(() => (fails ? reject(new Error('down')) : resolve(rows)))
        })
      },
      fallback: () => 0,
      represent: false,
      freshMs,
      staleMs,
      ttlJitter: 0,
      batchIntervalMs: 10,
      backoffMs: 20,
      maxBackoffMs: 80,
      maxConcurrentLoads: 3,
      random: random.next,
      clock,
    })
    const look = (key: string) => {
      const peeked = cache.peek(key)
      const known = accepted.get(key) ?? 0
      if (peeked.source === 'default') return
      if (peeked.value < known) t.fail(`${key}: ${peeked.value} after ${known}`)
      accepted.set(key, peeked.value)
      if (peeked.value !== peeked.version)
        t.fail(`${key}: value ${peeked.value} of version ${peeked.version}`)
      if (peeked.ageMs >= freshMs + staleMs) t.fail(`${key}: served at the age of ${peeked.ageMs} ms`)
      if (peeked.source !== 'fresh') return
      if (peeked.ageMs >= freshMs || peeked.ttlMs <= 0) t.fail(`${key}: fresh at ${peeked.ageMs} ms`)
      if (clock.nowMs() - peeked.ageMs < (outdatedAtMs.get(key) ?? -1))
        t.fail(`${key}: fresh although outdated`)
    }
    for (let step = 0; step < 600; step += 1) {
      const key = random.pick(keys)
      const action = random.int(0, 9)
      const next = (truth.get(key) ?? 0) + 1
      if (action === 0) {
        truth.set(key, next)
        await clock.advance(1)
        outdatedAtMs.set(key, clock.nowMs())
        if (random.next() < 0.5) cache.invalidate(key)
        else {
          // The tag is only known to the cache while the value is; the key always is.
          cache.invalidateTag(`tag-${key}`)
          cache.invalidate(key)
        }
      } else if (action === 1) {
        truth.set(key, next)
        await clock.advance(1)
        outdatedAtMs.set(key, clock.nowMs())
        cache.invalidate(key)
        if (!cache.set(key, { value: next, version: next })) t.fail(`${key}: ${next} refused`)
        accepted.set(key, next)
      } else if (action === 2) {
        const larger = (accepted.get(key) ?? 0) > 0
        if (cache.set(key, { value: 0, version: 0 }) && larger)
          t.fail(`${key}: 0 replaced ${accepted.get(key)}`)
      } else if (action === 3) {
        cache.get(key).catch(() => {})
      } else if (action === 4) {
        void cache.refresh([key])
      } else if (action < 7 && settles.length > 0) {
        // Loads settle in any order.
        settles.splice(random.int(0, settles.length - 1), 1)[0]?.()
        await clock.advance(0)
      } else {
        await clock.advance(random.int(0, 60))
      }
      for (const every of keys) look(every)
    }
    for (let drained = 0; drained < 50; drained += 1) {
      for (const settle of settles.splice(0)) settle()
      await clock.advance(200)
    }
    const { queued, inFlight, loadsRunning } = cache.snapshot()
    t.same(
      { queued, inFlight, loadsRunning },
      { queued: 0, inFlight: 0, loadsRunning: 0 },
      `seed ${random.seed}`,
    )
    await cache.close()
    t.equal(clock.pendingTimers, 0)
  }
})

t.test('jitter spreads what was stored together, and every lifetime stays within its share', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const clock = new HandClock()
  const cache = new StaleCache<number, undefined>('numbers', {
    load: async (wanted) => wanted.map((key) => ({ key, value: 1 })),
    fallback: () => 0,
    represent: false,
    freshMs: 1_000,
    random: random.next,
    clock,
  })
  const many = Array.from({ length: 1_000 }, (_, index) => `key-${index}`)
  await cache.refresh(many)
  const lives = many.map((key) => cache.peek(key).ttlMs)
  t.ok(Math.min(...lives) >= 900 && Math.max(...lives) <= 1_100)
  t.ok(Math.max(...lives) - Math.min(...lives) > 150, 'spread')
  await cache.close()
})
