// What a cache promises to the one process that uses it holds whether it has a second level, one that lives, or one
// that is dead.
import { GuardedRedis } from '@holdfast/redis-guard'
import { contractSuite, type RealServer, startRedis } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { StaleCache } from '../src/stale-cache.ts'
import { Source, type Thing } from './source.ts'

interface Subject {
  readonly cache: StaleCache<Thing>
  readonly source: Source
}

let number = 0

function implementation(name: string, kill: boolean | undefined) {
  let server: RealServer | undefined
  let redis: GuardedRedis | undefined
  return {
    name,
    open: async () => {
      if (kill === undefined) return
      server = await startRedis()
      redis = new GuardedRedis({ url: server.url, budgetMs: 10_000 })
      await redis.ready(10_000)
      if (kill) await server.kill9()
    },
    setUp: (): Subject => {
      number += 1
      const source = new Source()
      const cache = new StaleCache<Thing>(`contract-${number}`, {
        load: source.load,
        fallback: () => ({ text: 'default' }),
        redis: redis ?? false,
      })
      return { cache, source }
    },
    tearDown: ({ cache }: Subject) => cache.close(),
    close: async () => {
      await redis?.close()
      await server?.stop()
    },
  }
}

await contractSuite<Subject, Test>(
  t,
  'a cache',
  [implementation('memory', undefined), implementation('Redis', false), implementation('a dead Redis', true)],
  {
    'loads a key once, however many wait': async (t, { cache, source }) => {
      source.has('acme', 'one', { version: 3, tags: ['blue'] })
      const values = await Promise.all(Array.from({ length: 50 }, () => cache.get('acme')))
      t.equal(new Set(values).size, 1)
      t.equal(source.calls.length, 1)
      t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'one' }, version: 3 })
    },
    'loads many keys in one call': async (t, { cache, source }) => {
      const keys = Array.from({ length: 300 }, (_, index) => `key-${index}`)
      for (const key of keys) source.has(key, key)
      t.match(await cache.refresh(keys), { loaded: 300, failed: 0 })
      t.equal(source.calls.flatMap((call) => call.keys).length, 300)
      t.equal(cache.peek('key-299').value.text, 'key-299')
    },
    'knows what does not exist': async (t, { cache, source }) => {
      t.equal(await cache.get('nobody'), undefined)
      t.equal(await cache.get('nobody'), undefined)
      t.equal(source.calls.length, 1)
    },
    'loads anew what was invalidated, by key or tag': async (t, { cache, source }) => {
      source.has('acme', 'one', { tags: ['blue'] })
      await cache.get('acme')
      source.has('acme', 'two', { tags: ['blue'] })
      t.equal(cache.invalidate('acme'), true)
      t.equal(cache.peek('acme').source, 'stale')
      await cache.refresh(['acme'], { sinceFence: 0 })
      t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'two' } })
      source.has('acme', 'three', { tags: ['blue'] })
      t.equal(cache.invalidateTag('blue'), 1)
      await cache.refresh(['acme'], { sinceFence: 0 })
      t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'three' } })
      t.equal(source.calls.length, 3)
    },
    'keeps the newer of two versions, and what was written last': async (t, { cache, source }) => {
      t.equal(cache.set('acme', { value: { text: 'two' }, version: 2 }), true)
      t.equal(cache.set('acme', { value: { text: 'one' }, version: 1 }), false)
      source.has('acme', 'one', { version: 1 })
      t.match(await cache.refresh(['acme']), { kept: 1 })
      t.equal(cache.peek('acme').value.text, 'two')
      t.equal(cache.set('plain', { value: { text: 'a' } }), true)
      t.equal(cache.set('plain', { value: { text: 'b' } }), true)
      t.equal(cache.peek('plain').value.text, 'b')
    },
    'tells why a load failed, and keeps what is held': async (t, { cache, source }) => {
      source.has('acme', 'one')
      await cache.get('acme')
      source.answer = () => Promise.reject(new Error('the source is gone'))
      await t.rejects(cache.get('globex'), { message: 'the source is gone' })
      t.match(await cache.refresh(['acme']), { failed: 1, error: { message: 'the source is gone' } })
      t.equal(cache.peek('acme').value.text, 'one')
    },
    'takes keys, tags and values of any text': async (t, { cache, source }) => {
      for (const key of ['{a}:b', 'ä%\u0000', '"\\', 'x'.repeat(256), 'ü'.repeat(256), '\ud800']) {
        source.has(key, key, { tags: [key.slice(0, 50)] })
        t.equal((await cache.get(key))?.text, key)
        t.equal(cache.invalidateTag(key.slice(0, 50)), 1)
      }
    },
  },
)
