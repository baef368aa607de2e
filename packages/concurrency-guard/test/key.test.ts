import t from 'tap'
import { encodeKey, MAX_PLAIN_LENGTH, type OperationKey } from '../src/key.ts'

t.test('different keys never look alike, and equal ones always do', async (t) => {
  const keys: OperationKey[] = [
    'a',
    ['a', 'b'],
    ['a,b'],
    ['a","b'],
    ['b', 'a'],
    ['a', 'b', 'c'],
    'x'.repeat(MAX_PLAIN_LENGTH + 1),
    'x'.repeat(MAX_PLAIN_LENGTH + 2),
    '\uD800',
    '\uD801',
    '\uFFFD',
  ]
  const texts = keys.map((key) => encodeKey(key).text)
  t.equal(new Set(texts).size, keys.length)
  const names = keys.map((key) => JSON.stringify(encodeKey(key).leaseName))
  t.equal(new Set(names).size, keys.length)
  const alike = (one: OperationKey, other: OperationKey) => {
    const [first, second] = [encodeKey(one), encodeKey(other)]
    t.strictSame([first.text, first.leaseName], [second.text, second.leaseName])
  }
  alike('a', ['a'])
  alike(['user', 7], ['user', '7'])
  alike(['user', 7n], ['user', '7'])
})

t.test('a key of any length has a short name that Redis takes', async (t) => {
  for (const key of ['x'.repeat(1_000_000), ['a', '\uDC00'], ['ü'.repeat(500), 'b']] as OperationKey[]) {
    const { text, leaseName } = encodeKey(key)
    t.ok(text.length <= MAX_PLAIN_LENGTH)
    for (const part of leaseName) t.ok(part.isWellFormed() && part.length <= MAX_PLAIN_LENGTH)
  }
  t.strictSame(encodeKey(['bot', 'user-7']).leaseName, ['concurrency-guard', 'bot', 'user-7'])
})

t.test('a key that says nothing is refused, with what it was', async (t) => {
  const wrong: [unknown, RegExp][] = [
    ['', /part 0 is an empty text/],
    [[], /received an empty list/],
    [{}, /received an object/],
    [undefined, /received undefined/],
    [() => 'a', /received a function/],
    [['user', undefined], /part 1 is undefined/],
    [['user', null], /part 1 is null/],
    // A hole.
    [Object.assign(['a', 'b', 'c'].slice(0, 1), { 2: 'c' }), /part 1 is undefined/],
    [['user', Number.NaN], /part 1 is NaN/],
    [['user', ['a']], /part 1 is a list/],
    [Promise.resolve('a'), /received an object/],
  ]
  for (const [key, message] of wrong) {
    t.throws(() => encodeKey(key as OperationKey), {
      code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_KEY',
      message,
    })
  }
})
