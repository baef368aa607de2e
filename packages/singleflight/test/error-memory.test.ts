import t from 'tap'
import { ErrorMemory } from '../src/error-memory.ts'

t.test('an error is recalled until its time is up, then gone', async (t) => {
  const memory = new ErrorMemory(100, 10)
  memory.remember('a', undefined, 0)
  t.match(memory.recall('a', 99), { error: undefined })
  t.equal(memory.recall('a', 100), undefined)
  t.equal(memory.size, 0)
})

t.test('beyond the maximum the oldest error is dropped', async (t) => {
  const memory = new ErrorMemory(100, 3)
  for (const key of ['a', 'b', 'c', 'd']) memory.remember(key, key, 0)
  t.equal(memory.size, 3)
  t.equal(memory.recall('a', 0), undefined)
  t.match(memory.recall('d', 0), { error: 'd' })
})

t.test('a new error sweeps all that have expired, and a repeated one becomes the youngest', async (t) => {
  const memory = new ErrorMemory(100, 10)
  memory.remember('a', 1, 0)
  memory.remember('b', 1, 0)
  memory.remember('a', 2, 50)
  memory.remember('c', 1, 120)
  t.equal(memory.size, 2)
  t.match(memory.recall('a', 120), { error: 2 })
})

t.test('10,000 failing keys stay within the maximum', async (t) => {
  const memory = new ErrorMemory(1000, 500)
  for (let key = 0; key < 10_000; key++) memory.remember(String(key), key, 0)
  t.equal(memory.size, 500)
})

t.test('a time of 0 remembers nothing', async (t) => {
  const memory = new ErrorMemory(0, 10)
  memory.remember('a', 1, 0)
  t.equal(memory.size, 0)
})
