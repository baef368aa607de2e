// The change of limits in a real Redis, as two processes see it.

import { GuardedRedis } from '@holdfast/redis-guard'
import { askRedis, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { ChangeStore } from '../src/routes/operator-limits/change-store.ts'

const server = await startRedis()
t.teardown(() => server.stop())

async function storeOf(t: Test) {
  const redis = new GuardedRedis({ url: server.url, budgetMs: 5000 })
  t.teardown(() => redis.close())
  await redis.ready(10_000)
  return { redis, store: new ChangeStore(redis) }
}

t.beforeEach(() => askRedis(server.directPort, 'FLUSHALL'))

t.test('a change is read by whoever does not know it, and later ones have larger versions', async (t) => {
  const [{ store: one }, { store: other }] = [await storeOf(t), await storeOf(t)]
  t.equal(one.available, true)
  t.strictSame(await other.read(0), { version: 0, text: undefined })
  const startMs = Date.now()
  const first = await one.write('{"a":1}', 0)
  t.ok(Math.abs(first - startMs) < 60_000, 'a version is a time')
  t.strictSame(await other.read(0), { version: first, text: '{"a":1}' })
  t.strictSame(await other.read(first), { version: first, text: undefined })
  const second = await other.write('null', first + 600_000)
  t.equal(second, first + 600_001, 'also where the clock was ahead before')
  const third = await one.write('{"a":2}', first)
  t.equal(third, second + 1, 'and for whoever does not know of it')
  t.strictSame(await other.read(second), { version: third, text: '{"a":2}' })
})

t.test('what Redis has lost is put back, but over nothing later', async (t) => {
  const { store } = await storeOf(t)
  await store.restore({ version: 50, text: '{"a":1}' })
  t.strictSame(await store.read(0), { version: 50, text: '{"a":1}' })
  await store.restore({ version: 49, text: '{"a":0}' })
  await store.restore({ version: 50, text: '{"a":0}' })
  t.strictSame(await store.read(0), { version: 50, text: '{"a":1}' })
})

t.test('who wants to hear of changes does, until he does not', async (t) => {
  const [{ store: one, redis }, { store: other }] = [await storeOf(t), await storeOf(t)]
  let heard = 0
  const stop = one.onChange(() => {
    heard += 1
  })
  await waitUntil(() => redis.listening(redis.key('api', 'limits', 'changed')))
  const before = heard
  await other.write('{"a":1}', 0)
  await waitUntil(() => heard > before, { what: 'the word' })
  stop()
  const after = heard
  await other.write('{"a":2}', 0)
  await one.read(0)
  t.equal(heard, after)
})
