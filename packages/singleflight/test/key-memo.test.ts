import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { encodeKey, type FlightKeyPart } from '../src/index.ts'
import { KeyMemo, MAX_REMEMBERED, MAX_REMEMBERED_LENGTH } from '../src/key-memo.ts'

t.test('several keys are remembered at a time', async (t) => {
  const memo = new KeyMemo()
  memo.remember(['theme', 'acme'], 'text of acme')
  memo.remember(['theme', 'globex'], 'text of globex')
  t.equal(memo.recall(['theme', 'acme']), 'text of acme')
  t.equal(memo.recall(['theme', 'globex']), 'text of globex')
})

t.test('keys with an equal last part are told apart, and the later one is remembered', async (t) => {
  const memo = new KeyMemo()
  memo.remember(['theme', 'acme'], 'theme of acme')
  for (const other of [['odds', 'acme'], ['acme'], ['eu', 'theme', 'acme']]) {
    t.equal(memo.recall(other), undefined)
  }
  memo.remember(['odds', 'acme'], 'odds of acme')
  t.equal(memo.recall(['odds', 'acme']), 'odds of acme')
  t.equal(memo.recall(['theme', 'acme']), undefined)
  t.equal(memo.size, 1)
})

t.test('parts of different types are different keys', async (t) => {
  const memo = new KeyMemo()
  const parts: FlightKeyPart[] = ['1', 1, 1n, true, 'true', null, undefined, 'null', '']
  for (const part of parts) memo.remember([part], `${typeof part} ${part}`)
  for (const part of parts) t.equal(memo.recall([part]), `${typeof part} ${part}`)
  t.equal(memo.recall([]), undefined)
})

t.test('a key array that is changed afterwards changes nothing that is remembered', async (t) => {
  const memo = new KeyMemo()
  const parts = ['theme', 'acme']
  memo.remember(parts, 'text')
  parts[0] = 'odds'
  t.equal(memo.recall(parts), undefined)
  t.equal(memo.recall(['theme', 'acme']), 'text')
})

t.test('a long key is not remembered, and more keys than the maximum never are', async (t) => {
  const memo = new KeyMemo()
  memo.remember(['a'], 'x'.repeat(MAX_REMEMBERED_LENGTH + 1))
  t.equal(memo.size, 0)
  memo.remember(['a'], 'x'.repeat(MAX_REMEMBERED_LENGTH))
  t.equal(memo.size, 1)
  for (let key = 0; key < 10 * MAX_REMEMBERED; key++) {
    memo.remember([key], String(key))
    if (memo.size > MAX_REMEMBERED) t.fail(`${memo.size} keys`)
  }
  t.equal(memo.recall([10 * MAX_REMEMBERED - 1]), String(10 * MAX_REMEMBERED - 1))
})

t.test(
  'random keys, arrays and Dates that change: the text is always that of the key as it is',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const dates = Array.from({ length: 3 }, (_, day) => new Date(day))
    const values: readonly FlightKeyPart[] = [
      'a',
      'b',
      '1',
      1,
      1n,
      0,
      -0,
      Number.NaN,
      true,
      null,
      undefined,
      ...dates,
    ]
    const kept = Array.from({ length: 20 }, () =>
      Array.from({ length: random.int(1, 3) }, () => random.pick(values)),
    )
    // The encoding again, in its simplest form and without a memo.
    const describe = (part: FlightKeyPart): string => {
      if (part instanceof Date) return `d${part.getTime()};`
      if (typeof part === 'string') return `${part.length}:${part}`
      if (typeof part === 'boolean') return part ? 't;' : 'f;'
      if (part === undefined) return '-;'
      return part === null ? 'z;' : `${typeof part === 'bigint' ? 'b' : 'n'}${part};`
    }
    for (let round = 0; round < 50_000; round++) {
      const parts = random.pick(kept)
      const change = random.int(0, 5)
      if (change === 0) parts[random.int(0, parts.length - 1)] = random.pick(values)
      if (change === 1) random.pick(dates).setTime(random.int(0, 5))
      const expected = parts.map(describe).join('')
      if (encodeKey(parts) !== expected) t.fail(`${encodeKey(parts)} instead of ${expected}`)
    }
    t.pass('50,000 keys')
  },
)
