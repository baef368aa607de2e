import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { jsonCodec } from '../src/index.ts'

const roundTrip = (value: unknown) => jsonCodec.decode(Buffer.from(jsonCodec.encode(value)))

t.test('plain data arrives as it left', async (t) => {
  for (const value of [
    null,
    true,
    0,
    -1.5,
    '',
    'ä€😀\u2028"\\',
    [],
    {},
    [1, [2, [3]]],
    { a: { b: [null, 'c'] } },
    Object.assign(Object.create(null), { a: 1 }),
    JSON.parse('{"__proto__": 1}'),
  ]) {
    t.same(roundTrip(value), value)
  }
  t.equal(roundTrip(undefined), undefined)
  t.same(roundTrip({ a: undefined, b: 1 }), { b: 1 })
})

class Money {
  readonly minor = 5
}
const cycle: Record<string, unknown> = {}
cycle['self'] = { cycle }
const hole: unknown[] = []
hole[1] = 1
const lossy: readonly [what: string, value: unknown, message: RegExp][] = [
  ['a Date', { at: new Date() }, /the value\.at is an instance of Date/],
  ['a Buffer', [Buffer.from('x')], /the value\[0\] is an instance of Buffer/],
  ['a Map', new Map(), /the value is an instance of Map/],
  ['a class instance', { price: [new Money()] }, /the value\.price\[0\] is an instance of Money/],
  ['an object of no known class', Object.create({ constructor: undefined }), /an instance of a class/],
  ['a bigint', { id: 1n }, /the value\.id is a bigint/],
  ['NaN', { rate: Number.NaN }, /the value\.rate is NaN/],
  ['an infinity', Number.POSITIVE_INFINITY, /the value is Infinity/],
  ['a function', { f: () => 1 }, /the value\.f is a function/],
  ['toJSON', { toJSON: () => 1 }, /the value\.toJSON is a function/],
  ['a symbol', Symbol('x'), /the value is a symbol/],
  ['undefined in an array', [undefined], /the value\[0\] is undefined/],
  ['a hole', hole, /the value\[0\] is undefined/],
  ['a member named by a symbol', { a: { [Symbol('x')]: 1 } }, /the value\.a is an object with a member that/],
  ['a cycle', cycle, /^.{0,400} nested deeper than 200, or a cycle/],
]
for (const [what, value, message] of lossy) {
  t.test(`${what} is refused, with its place`, async (t) => {
    t.throws(() => jsonCodec.encode(value), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_VALUE_NOT_SHAREABLE',
      message,
    })
  })
}

t.test('whatever is not refused arrives as it left', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const leaves = [0, 1.5, 'x', '', true, null, undefined, Number.NaN, 5n, new Date(0)]
  // A member that is undefined is left out: it reads the same, but is not the same to a comparison.
  const member = (part: unknown, index: number) => (part === undefined ? [] : [[`m${index}`, part]])
  const build = (depth: number): unknown => {
    if (depth === 0 || random.next() < 0.3) return random.pick(leaves)
    const parts = Array.from({ length: random.int(0, 4) }, () => build(depth - 1))
    return random.next() < 0.5 ? parts : Object.fromEntries(parts.flatMap(member))
  }
  let passed = 0
  for (let run = 0; run < 2000; run += 1) {
    const value = build(4)
    try {
      jsonCodec.encode(value)
    } catch {
      continue
    }
    passed += 1
    t.same(roundTrip(value), value)
  }
  t.ok(passed > 100)
})
