import { inspect, types } from 'node:util'
import createError from '@fastify/error'
import t from 'tap'
import { copyError } from '../src/shared-error.ts'

t.test('a copy answers every question like the original', async (t) => {
  const Coded = createError('APP_NOT_FOUND', 'no tenant %s', 404)
  const original = Object.assign(new Coded('acme'), { details: { tenant: 'acme' } })
  const copy = copyError(original)
  t.not(copy, original)
  t.ok(
    copy instanceof Coded &&
      copy instanceof Error &&
      types.isNativeError(copy) === types.isNativeError(original),
  )
  t.match(copy, { code: 'APP_NOT_FOUND', statusCode: 404, name: 'FastifyError', message: 'no tenant acme' })
  t.match(copy, { stack: original.stack, details: original.details, cause: original })
  t.match(inspect(copy), /no tenant acme/)
})

t.test('the cause of the original stays the cause of the copy', async (t) => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const copy = copyError(new TypeError('fetch failed', { cause: refused }))
  t.ok(copy instanceof TypeError)
  t.equal(copy instanceof Error && copy.cause, refused)
})

t.test('a cause of undefined counts as a cause', async (t) => {
  const copy = copyError(new Error('outer', { cause: undefined }))
  t.ok(copy instanceof Error && 'cause' in copy)
  t.equal(copy instanceof Error && copy.cause, undefined)
})

t.test('changing a copy changes neither the original nor another copy', async (t) => {
  const original = new Error('shared')
  const [one, other] = [copyError(original), copyError(original)] as [Error, Error]
  one.stack += '\n    at my request'
  one.message = 'mine'
  t.equal(other.stack, original.stack)
  t.equal(original.message, 'shared')
})

t.test('an AggregateError keeps its errors', async (t) => {
  const copy = copyError(new AggregateError([1, 2], 'both failed'))
  t.match(copy, { errors: [1, 2], message: 'both failed' })
  t.ok(copy instanceof AggregateError)
})

t.test('what is no native error, and a DOMException, is handed on as it is', async (t) => {
  for (const thrown of [
    undefined,
    null,
    'text',
    0,
    { statusCode: 404 },
    new DOMException('stop', 'AbortError'),
  ]) {
    t.equal(copyError(thrown), thrown)
  }
})

t.test('copying leaves the stack trace limit as it was', async (t) => {
  const before = Error.stackTraceLimit
  copyError(new Error('x'))
  t.equal(Error.stackTraceLimit, before)
})

t.test('an error whose message cannot be read leaves the stack trace limit as it was', async (t) => {
  const before = Error.stackTraceLimit
  const unreadable = Object.defineProperties(new Error('x'), {
    stack: { value: 'written by its class' },
    message: {
      get() {
        throw new Error('no message')
      },
    },
  })
  t.ok(copyError(unreadable) instanceof Error)
  t.equal(Error.stackTraceLimit, before)
})

t.test(
  'a copy has the own properties of the original as they are, symbols and accessors included',
  async (t) => {
    const mark = Symbol('mark')
    const original = Object.defineProperties(new RangeError('x'), {
      [mark]: { value: 1 },
      detail: { get: () => 'computed', enumerable: true },
    })
    const copy = copyError(original) as object
    for (const name of [mark, 'detail', 'message']) {
      t.strictSame(
        Object.getOwnPropertyDescriptor(copy, name),
        Object.getOwnPropertyDescriptor(original, name),
        String(name),
      )
    }
    t.notOk(
      Object.keys(copy).includes('stack') || Object.keys(copy).includes('cause'),
      'stack and cause are hidden',
    )
  },
)
