import { HandClock } from '@holdfast/test-kit'
import t from 'tap'
import { MemoryStore } from '../src/memory-store.ts'

const draft = {
  idleMs: 1000,
  absolute: { afterMs: 10_000 },
  principal: undefined,
  authenticated: false,
  device: undefined,
  fields: new Map(),
}
const bound = { maxPerUser: 10, whenFull: 'evict' } as const

t.test('holds so many sessions; the one unused for longest goes, also from its list', async (t) => {
  const clock = new HandClock()
  const store = new MemoryStore({ clock, maxInMemory: 2 })
  const user = { tag: '0000', hash: 'ann' }
  const at = (hash: string) => ({ tag: '0000', hash })
  await store.create(at('a'), user, draft, bound)
  await store.create(at('b'), user, draft, bound)
  await store.touch(at('a'))
  await store.create(at('c'), user, draft, bound)
  t.equal(store.size, 2)
  t.equal(await store.load(at('b')), undefined)
  t.same(
    (await store.list(user)).map(({ hash }) => hash),
    ['a', 'c'],
  )
})

t.test('a wall clock that is set ends nobody', async (t) => {
  const clock = new HandClock()
  const store = new MemoryStore({ clock, maxInMemory: 2 })
  await store.create({ tag: '0000', hash: 'a' }, undefined, draft, bound)
  clock.jumpWall(86_400_000)
  t.ok(await store.load({ tag: '0000', hash: 'a' }))
  t.equal(store.available, true)
})
