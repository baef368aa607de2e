import t from 'tap'
import { decodeFailure, encodeFailure, isRetryableByStatus } from '../src/remote-failure.ts'

const told = (error: unknown) => decodeFailure(encodeFailure(error, isRetryableByStatus(error)))

t.test('what callers decide by arrives, and nothing else', async (t) => {
  const thrown = Object.assign(new RangeError('too far'), {
    code: 'TOO_FAR',
    statusCode: 503,
    retryAfterMs: 1500,
    retryAfterSeconds: 2,
    password: 'x',
    cause: new Error('inner'),
  })
  const error = told(thrown)
  t.ok(error instanceof Error)
  t.match(error, {
    name: 'RangeError',
    message: 'too far',
    code: 'TOO_FAR',
    statusCode: 503,
    retryable: true,
  })
  t.match(error, { retryAfterMs: 1500, retryAfterSeconds: 2, password: undefined, cause: undefined })
  t.equal(error.stack, 'RangeError: too far\n    at the process that ran the work')
})

t.test('an error without code and status gets those of a remote failure', async (t) => {
  t.match(told(new Error('no')), {
    name: 'Error',
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED',
    statusCode: 500,
    retryAfterMs: undefined,
    retryable: true,
  })
  t.match(told(Object.assign(new Error('no'), { code: 5, statusCode: '404', retryAfterMs: Number.NaN })), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED',
    statusCode: 500,
    retryAfterMs: undefined,
  })
})

for (const [thrown, shown] of [
  [undefined, 'undefined'],
  [null, 'null'],
  ['text', '"text"'],
  [5, '5'],
  [{ secret: 1 }, 'an object that is no Error'],
  [() => 1, 'a function'],
  [Symbol('x'), 'Symbol(x)'],
] as const) {
  t.test(`a work that rejects with ${shown} is an error elsewhere`, async (t) => {
    t.match(told(thrown), {
      message: `the work rejected with ${shown}`,
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED',
      retryable: true,
    })
  })
}

t.test('long texts are cut', async (t) => {
  const error = told(
    Object.assign(new Error('m'.repeat(5000)), { name: 'n'.repeat(500), code: 'c'.repeat(500) }),
  )
  t.equal(error.message.length, 1000)
  t.equal(error.name.length, 100)
  t.equal(error.code.length, 100)
})

t.test('a record that cannot be read is an error all the same', async (t) => {
  for (const text of ['', '{', 'null', '[]', '{"message":5,"code":7}']) {
    t.match(decodeFailure(Buffer.from(text)), {
      code: 'HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED',
      message: /cannot be read/,
      retryable: true,
    })
  }
})

t.test('a wrong call is not retried, a call that came too early or a failing server is', async (t) => {
  const classOf = (statusCode: unknown) => isRetryableByStatus(Object.assign(new Error('x'), { statusCode }))
  for (const status of [undefined, 408, 425, 429, 500, 503, 304, 'x'])
    t.equal(classOf(status), true, String(status))
  for (const status of [400, 401, 404, 409, 422]) t.equal(classOf(status), false, String(status))
  t.equal(isRetryableByStatus('text'), true)
})

t.test('errors that cannot be read are told all the same', async (t) => {
  const unreadable = () => {
    throw new Error('unreadable')
  }
  const texts = Object.assign(new Error('x'), { name: undefined, message: { text: 'an object' } })
  t.match(told(texts), { name: 'FastifyError', message: /whose message is no text/ })
  for (const thrown of [
    Object.defineProperty(new Error('x'), 'code', { get: unreadable }),
    new Proxy({}, { getPrototypeOf: unreadable }),
  ]) {
    t.match(decodeFailure(encodeFailure(thrown, true)), { message: /cannot be read/, retryable: true })
  }
})
