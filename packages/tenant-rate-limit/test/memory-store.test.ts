import { HandClock, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { claim, type Decision } from '../src/index.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { policyOf } from './policy-of.ts'

const perMinute = policyOf('perMinute', '10/minute')
const perDay = policyOf('perDay', '1000/day')

function left(decision: Decision): number | undefined {
  return decision.verdicts[0]?.remaining
}

t.test('a million other keys do not free a limited client, and take no more memory', async (t) => {
  const clock = new HandClock()
  const store = new MemoryStore({ clock, maxKeys: 10_000 })
  const victim = claim(perMinute, 'acme', 'limited')
  while (store.decide([victim], 'consume').allowed);
  let freed = 0
  for (let key = 0; key < 1_000_000; key += 1) {
    store.decide([claim(perMinute, 'acme', `flood-${key}`)], 'consume')
    if (key % 1000 === 0 && store.decide([victim], 'consume').allowed) freed += 1
  }
  t.equal(freed, 0)
  t.match(store.snapshot(), { keys: 10_000, dropped: 990_001, coarseBytes: 0 })
  t.equal(clock.pendingTimers, 0)
  await clock.advance(6000)
  t.equal(store.decide([victim], 'consume').allowed, true, 'what comes back is not lost, either')
  t.equal(store.decide([victim], 'consume').allowed, false)
})

t.test('not even keys that are as used as the limited client, or of a longer window, free it', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const clock = new HandClock()
  const store = new MemoryStore({ clock, maxKeys: 100 })
  const victims = Array.from({ length: 20 }, (_, at) => claim(perMinute, 'acme', `limited-${at}`))
  for (const victim of victims) while (store.decide([victim], 'consume').allowed);
  let freed = 0
  for (let key = 0; key < 5000; key += 1) {
    const policy = random.pick([perMinute, perDay])
    const cost = random.pick([1, policy.capacity])
    store.decide([claim(policy, 'acme', `flood-${key}`, cost)], 'consume')
    if (store.decide([random.pick(victims)], 'consume').allowed) freed += 1
  }
  t.equal(freed, 0)
  t.ok(store.snapshot().dropped > 4000)
})

t.test(
  'who is new during a flood finds a full bucket, unless the flood is one of limited keys',
  async (t) => {
    const clock = new HandClock()
    const store = new MemoryStore({ clock, maxKeys: 100 })
    const flood = (cost: number) => {
      for (let key = 0; key < 100_000; key += 1) {
        store.decide([claim(perMinute, 'acme', `flood-${cost}-${key}`, cost)], 'consume')
      }
    }
    const found = () => left(store.decide([claim(perMinute, 'b', 'new', 0)], 'peek'))
    flood(1)
    flood(5)
    t.equal(found(), 10)
    flood(9)
    t.ok(Number(found()) < 10)
    t.equal(store.snapshot().coarseBytes, 131_072, 'of a fixed size')
    await clock.advance(120_000)
    t.equal(found(), 10, 'and after it a full one')
  },
)

t.test('what is full is dropped first and leaves nothing behind', async (t) => {
  const clock = new HandClock()
  const store = new MemoryStore({ clock, maxKeys: 8 })
  for (let key = 0; key < 8; key += 1) store.decide([claim(perMinute, 'acme', `${key}`)], 'consume')
  await clock.advance(60_000)
  for (let key = 8; key < 16; key += 1) store.decide([claim(perMinute, 'acme', `${key}`)], 'consume')
  t.match(store.snapshot(), { keys: 8, dropped: 8, coarseBytes: 0 })
})

t.test('a change of the terms is no way around: a dropped bucket keeps its used fraction', async (t) => {
  const store = new MemoryStore({ clock: new HandClock(), maxKeys: 1 })
  store.decide([claim(perMinute, 'acme', 'all', 10)], 'consume')
  store.decide([claim(perMinute, 'acme', 'other', 10)], 'consume')
  const larger = policyOf('perMinute', '1000/minute')
  t.equal(left(store.decide([claim(larger, 'acme', 'all', 0)], 'peek')), 0)
})

t.test('what is filled on purpose is full, also when the coarse table thinks otherwise', async (t) => {
  const store = new MemoryStore({ clock: new HandClock(), maxKeys: 1 })
  const limited = claim(perMinute, 'acme', 'all', 10)
  store.decide([limited], 'consume')
  store.decide([claim(perMinute, 'acme', 'other', 1)], 'consume')
  t.equal(store.decide([limited], 'consume').allowed, false)
  store.forget([limited])
  t.equal(store.decide([limited], 'consume').allowed, true)
})

t.test('refuses to keep nothing', async (t) => {
  for (const maxKeys of [0, -1, 1.5]) {
    t.throws(() => new MemoryStore({ clock: new HandClock(), maxKeys }), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION',
      message: /"maxKeys" must be a whole number/,
    })
  }
})

t.test('closing forgets everything', async (t) => {
  const store = new MemoryStore({ clock: new HandClock() })
  store.decide([claim(perMinute, 'acme', 'all', 10)], 'consume')
  await store.close()
  t.equal(store.decide([claim(perMinute, 'acme', 'all', 10)], 'consume').allowed, true)
})
