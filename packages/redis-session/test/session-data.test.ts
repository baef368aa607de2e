import t from 'tap'
import { bytesOf, DataForm, largestOf } from '../src/session-data.ts'

const bounds = { maxBytes: 100, maxFields: 4 }
const isTheme = (value: unknown) => (value === 'light' || value === 'dark' ? value : undefined)

t.test('without readers any JSON is a field', async (t) => {
  const form = new DataForm(undefined, bounds)
  for (const value of ['dark', 1, 0, false, null, [1, 2], { a: { b: 1 } }]) {
    t.same(form.valueOf('field', form.textOf('field', value)), value)
  }
  for (const value of [undefined, () => 1, Symbol('no')]) {
    t.throws(() => form.textOf('field', value), { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA' })
  }
})

t.test('names that could be mistaken for something else are refused', async (t) => {
  const form = new DataForm(undefined, bounds)
  for (const name of [
    '__proto__',
    'save',
    'constructor',
    'prototype',
    'toString',
    'then',
    'cookie',
    'user',
  ]) {
    t.throws(() => form.textOf(name, 1), { code: 'HOLDFAST_ERR_REDIS_SESSION_DATA' }, name)
  }
  for (const name of ['', '1a', 'a:b', 'a b', 'ä', 'x'.repeat(65), 7 as never]) {
    t.throws(() => form.check(name), { message: /letter and up to 63/ }, String(name))
  }
  t.throws(() => new DataForm({ save: isTheme }, bounds), { message: /field "save": the name is reserved/ })
})

t.test('a reader decides about a value before it is kept and after it was', async (t) => {
  const form = new DataForm(
    { theme: isTheme, age: (value) => (Number(value) > 0 ? Number(value) : undefined) },
    bounds,
  )
  t.equal(form.textOf('theme', 'dark'), '"dark"')
  t.equal(form.textOf('age', '7'), '7', 'what the reader makes of it is kept')
  t.throws(() => form.textOf('theme', 'red'), { message: /field "theme": the value is not one/ })
  t.throws(() => form.textOf('colour', 'red'), { message: /field "colour": there is no such field/ })
  t.equal(form.valueOf('theme', '"dark"'), 'dark')
  t.equal(form.valueOf('theme', '"red"'), undefined, 'of an older version of the service')
  t.equal(form.valueOf('colour', '"red"'), undefined)
  t.equal(form.valueOf('theme', '{'), undefined)
  t.equal(form.valueOf('constructor', '1'), undefined)
  const throwing = new DataForm(
    {
      theme: () => {
        throw new Error('no')
      },
    },
    bounds,
  )
  t.equal(throwing.valueOf('theme', '1'), undefined)
})

t.test('a field that cannot fit is named', async (t) => {
  const form = new DataForm(undefined, bounds)
  t.equal(bytesOf('name', '"ä"'), 4 + 4)
  t.equal(form.textOf('a', 'x'.repeat(97)).length, 99)
  t.throws(() => form.textOf('a', 'x'.repeat(98)), {
    code: 'HOLDFAST_ERR_REDIS_SESSION_TOO_LARGE',
    message: 'session field "a" does not fit: a session holds at most 100 bytes in 4 fields',
  })
  t.equal(
    largestOf(
      new Map([
        ['a', '1'],
        ['b', '123'],
        ['c', '12'],
      ]),
    ),
    'b',
  )
})

t.test('data from outside pollutes nothing', async (t) => {
  const form = new DataForm(undefined, bounds)
  const value = form.valueOf('cart', '{"__proto__":{"polluted":true}}')
  t.equal((value as { polluted?: boolean }).polluted, undefined)
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})
