import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { encodeKey, type FlightKey, type FlightKeyPart, MAX_KEY_LENGTH } from '../src/index.ts'

t.test('a separator inside a part never moves the border between parts', async (t) => {
  t.not(encodeKey(['a:b', 'c']), encodeKey(['a', 'b:c']))
  t.not(encodeKey(['a', 'b']), encodeKey(['ab']))
  t.not(encodeKey(['1:a1:b']), encodeKey(['a', 'b']))
  t.not(encodeKey(['']), encodeKey([]))
  t.not(encodeKey(['', '']), encodeKey(['']))
})

t.test('every value has one form of its own', async (t) => {
  const values: FlightKeyPart[] = [
    '',
    '1',
    'true',
    'null',
    'n1;',
    't;',
    '\u0000',
    '\ud800',
    '\\ud800',
    'u"\\ud800"',
    '\udc00\ud800',
    '😀',
    0,
    1,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e21,
    0n,
    1n,
    -1n,
    true,
    false,
    null,
    undefined,
    new Date(0),
    new Date(1),
  ]
  const texts = values.map((value) => encodeKey([value]))
  t.equal(new Set(texts).size, values.length)
  t.ok(
    texts.every((text) => text.isWellFormed()),
    'all survive the way through UTF-8',
  )
})

t.test('-0 and 0 are one key, so are all NaNs, equal Dates, and a hole and undefined', async (t) => {
  t.equal(encodeKey([-0]), encodeKey([0]))
  t.equal(encodeKey([Number.NaN]), encodeKey([0 / 0]))
  t.equal(encodeKey([new Date(5)]), encodeKey([new Date(5)]))
  t.equal(encodeKey(new Array(1)), encodeKey([undefined]))
})

t.test('a Date that changes between two calls gives another key', async (t) => {
  const date = new Date(1)
  const before = encodeKey(['report', date])
  date.setTime(2)
  t.not(encodeKey(['report', date]), before)
})

t.test('an array that changes between two calls gives another key', async (t) => {
  const parts = ['theme', 'acme']
  const before = encodeKey(parts)
  parts[1] = 'globex'
  t.equal(before, '5:theme4:acme')
  t.equal(encodeKey(parts), '5:theme6:globex')
})

t.test('what has no canonical form is refused with its place and kind', async (t) => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  for (const [part, shown] of [
    [() => 1, 'a function'],
    [Symbol('s'), 'Symbol(s)'],
    [{ a: 1 }, 'an object'],
    [cycle, 'an array'],
    [new Date(Number.NaN), 'an invalid Date'],
  ] as const) {
    t.throws(() => encodeKey(['first', part as FlightKeyPart]), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_KEY_INVALID',
      message: new RegExp(`part 1 has no canonical form, received ${shown.replace(/[()]/g, '\\$&')}`),
    })
  }
  for (const notTuple of ['text', 5, null, undefined, { 0: 'a' }, () => 1]) {
    t.throws(() => encodeKey(notTuple as unknown as FlightKey), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_KEY_INVALID',
      message: /the key is no array/,
    })
  }
})

t.test('a key longer than the maximum is refused, at the maximum it is not', async (t) => {
  const overhead = encodeKey(['x'.repeat(1000)]).length - 1000
  t.equal(encodeKey(['x'.repeat(MAX_KEY_LENGTH - overhead)]).length, MAX_KEY_LENGTH)
  t.throws(() => encodeKey(['x'.repeat(MAX_KEY_LENGTH)]), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_KEY_TOO_LONG',
    statusCode: 414,
  })
})

t.test('random tuples: distinct ones never collide, equal ones always agree', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const alphabet = [
    'a',
    'b',
    ':',
    ';',
    '1',
    '2',
    'n',
    'u',
    '"',
    '\\',
    '\u0000',
    '\ud800',
    '\udc00',
    'é',
    '😀',
  ]
  const text = () => Array.from({ length: random.int(0, 4) }, () => random.pick(alphabet)).join('')
  const makers: (() => FlightKeyPart)[] = [
    text,
    text,
    () => random.int(-3, 3),
    () => random.pick([0.5, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e21, 12]),
    () => BigInt(random.int(-3, 12)),
    () => random.pick([true, false, null, undefined]),
    () => new Date(random.int(0, 12)),
  ]
  // An independent description: types and values by the rules of SameValueZero, compared as JSON.
  const describe = (parts: FlightKey) =>
    JSON.stringify(
      parts.map((part) => {
        if (part instanceof Date) return ['Date', part.getTime()]
        if (typeof part === 'string')
          return ['string', ...Array.from({ length: part.length }, (_, i) => part.charCodeAt(i))]
        if (part === 0) return ['number', '0']
        return [part === null ? 'null' : typeof part, String(part)]
      }),
    )
  const seen = new Map<string, string>()
  const encodings = new Map<string, string>()
  for (let round = 0; round < 50_000; round++) {
    const parts = Array.from({ length: random.int(0, 3) }, () => random.pick(makers)())
    const encoded = encodeKey(parts)
    const described = describe(parts)
    if ((seen.get(encoded) ?? described) !== described)
      t.fail(`${described} and ${seen.get(encoded)} collide`)
    if ((encodings.get(described) ?? encoded) !== encoded) t.fail(`${described} has two encodings`)
    seen.set(encoded, described)
    encodings.set(described, encoded)
  }
  t.ok(seen.size > 5000, `${seen.size} distinct tuples`)
  t.equal(seen.size, encodings.size)
})
