import t from 'tap'
import {
  AuthorisationError,
  ConflictError,
  DatabaseError,
  ExternalServiceError,
  MaintenanceError,
  UnauthenticatedError,
  ValidationError,
} from '../src/errors.ts'
import { failureOf, wordOf } from '../src/failure.ts'

const SECRET = 'password authentication failed for user "acme" on 10.0.0.7:5432'

t.test('a fault of the service is told in general words, whatever it says itself', async (t) => {
  for (const thrown of [
    new Error(SECRET),
    Object.assign(new Error(SECRET), { statusCode: 500, code: 'ECONNREFUSED' }),
    Object.assign(new Error(SECRET), { statusCode: 503, headers: { 'x-secret': SECRET } }),
    Object.assign(new Error(SECRET), { status: 502, issues: [{ detail: SECRET }] }),
    Object.assign(new Error(SECRET), { statusCode: 200 }),
    Object.assign(new Error(SECRET), { statusCode: '404' }),
    SECRET,
    null,
    undefined,
    7,
    Symbol('x'),
  ]) {
    const failure = failureOf(thrown)
    t.notMatch(JSON.stringify(failure), /password|10\.0\.0\.7|ECONNREFUSED/)
    t.ok(failure.status >= 500 && failure.status <= 599)
    t.equal(failure.error, wordOf(failure.status))
    t.equal(failure.level, 'error')
  }
})

t.test('a mistake of the caller is told in the words of who found it', async (t) => {
  t.match(failureOf(Object.assign(new Error('there is no such bot'), { statusCode: 404, code: 'NO_BOT' })), {
    status: 404,
    error: 'NO_BOT',
    detail: 'there is no such bot',
    level: 'debug',
  })
  t.match(failureOf({ status: 422 }), { status: 422, detail: 'The request cannot be answered as it is.' })
  t.match(failureOf(Object.assign(new Error(SECRET), { statusCode: 404, expose: false, code: 'X' })), {
    error: 'not_found',
    detail: 'There is nothing at this address.',
  })
  t.match(failureOf({ statusCode: 400, message: '', code: 'bad code\r\n' }), {
    error: 'bad_request',
    detail: 'The request cannot be understood.',
  })
})

t.test('Fastify is not believed in its words, which repeat the request', async (t) => {
  const codes = ['BAD_URL', 'MAX_PARAM_LENGTH', 'CTP_INVALID_MEDIA_TYPE', 'CTP_INVALID_JSON_BODY']
  for (const code of codes) {
    const failure = failureOf({ code: `FST_ERR_${code}`, statusCode: 400, message: "'/%E0<script>' is" })
    t.notMatch(failure.detail, /script/)
    t.equal(failure.error, `FST_ERR_${code}`)
  }
})

t.test('a sentence is one line, has a bound, and is whole Unicode', async (t) => {
  const message = `a\r\n\u0000b\u202Ec${'x'.repeat(600)}`
  t.match(failureOf({ statusCode: 400, message }).detail, /^a b cx{495}$/)
  t.equal(failureOf({ statusCode: 400, message: '\uD800' }).detail, '\uFFFD')
})

t.test('when to come back is a whole number of seconds, at least one', async (t) => {
  const secondsOf = (retryAfterSeconds: unknown) =>
    failureOf({ statusCode: 429, retryAfterSeconds }).retryAfterSeconds
  t.same([0, 0.2, 3.1, -5, Number.POSITIVE_INFINITY].map(secondsOf), [1, 1, 4, 1, 31_536_000])
  t.same([undefined, null, '3', Number.NaN].map(secondsOf), [undefined, undefined, undefined, undefined])
})

t.test('who refuses for now logs that himself, so each refusal is quiet', async (t) => {
  t.equal(failureOf({ statusCode: 503, retryAfterSeconds: 1 }).level, 'debug')
  t.equal(failureOf({ statusCode: 504, retryAfterSeconds: 1 }).level, 'debug')
  t.equal(failureOf({ statusCode: 500, retryAfterSeconds: 1 }).level, 'error')
  t.equal(failureOf(new MaintenanceError()).level, 'debug')
})

t.test('what the application says goes before what the error says', async (t) => {
  const given = {
    status: 503,
    error: 'pressed',
    detail: 'Busy.',
    retryAfterSeconds: 2,
    level: 'warn',
  } as const
  t.match(failureOf(new Error(SECRET), given), given)
  t.match(failureOf({ statusCode: 404 }, { status: 999 }), { status: 404 })
})

t.test('the status of the reply counts when the error has none', async (t) => {
  t.equal(failureOf(new Error('x'), {}, 418).status, 418)
  t.equal(failureOf(new Error('x'), {}, 200).status, 500)
})

t.test('headers of an error are sent when they can be', async (t) => {
  const headers = { 'www-authenticate': 'Bearer', 'x-bad': 'a\r\nb', 'x y': 'z', 'x-number': 7 }
  t.same(failureOf({ statusCode: 401, headers }).headers, { 'www-authenticate': 'Bearer', 'x-number': '7' })
  t.same(failureOf({ statusCode: 401, headers: 'x' }).headers, {})
})

t.test('an issue may say where in a text it is, and a place that is none is left out', async (t) => {
  const issue = { in: 'body', pointer: '#/rule', detail: 'is not complete' } as const
  const placed = { ...issue, line: 2, column: 9 }
  t.same(failureOf(new ValidationError('no', [placed])).issues, [placed])
  for (const none of [0, -1, 1.5, Number.NaN, '3', null]) {
    t.same(failureOf({ statusCode: 422, issues: [{ ...issue, line: none, column: none, more: 1 }] }).issues, [
      issue,
    ])
  }
})

t.test('each class of errors says what a person has to know, and no more', async (t) => {
  const cause = new Error(SECRET)
  const issue = { in: 'body', pointer: '#/age', detail: 'must be at least 18' } as const
  const told: readonly [Error, object][] = [
    [
      new ValidationError('age is too low', [issue]),
      { status: 400, issues: [issue], detail: 'age is too low' },
    ],
    [new ValidationError('no'), { status: 400, issues: undefined }],
    [new UnauthenticatedError(), { status: 401, headers: { 'www-authenticate': 'Bearer' } }],
    [
      new AuthorisationError(undefined, { cause }),
      { status: 403, detail: 'You are not allowed to do this.' },
    ],
    [new ConflictError(), { status: 409, detail: /Nothing of yours was saved/ }],
    [new ConflictError('Ann was first.', { cause }), { status: 409, detail: 'Ann was first.' }],
    [new DatabaseError({ cause }), { status: 503, detail: /Nothing was changed/, retryAfterSeconds: 1 }],
    [new DatabaseError({ cause, rolledBack: false }), { status: 503, detail: /Look whether it was done/ }],
    [new DatabaseError(), { error: 'HOLDFAST_ERR_ERROR_PAGES_DATABASE', level: 'debug' }],
    [new ExternalServiceError('quotes', { cause }), { status: 502, retryAfterSeconds: 5, level: 'error' }],
    [new ExternalServiceError('quotes', { retryAfterMs: 100 }), { retryAfterSeconds: 1 }],
    [new MaintenanceError(), { status: 503, maintenance: true, retryAfterSeconds: undefined }],
    [new MaintenanceError({ message: 'Until noon.', retryAfterMs: 61_000 }), { detail: 'Until noon.' }],
  ]
  for (const [error, expected] of told) {
    t.match(failureOf(error), expected, error.name)
    t.notMatch(JSON.stringify(failureOf(error)), /password|quotes/)
  }
})

t.test('an object in place of a text is a mistake, and nothing of it is told', async (t) => {
  const given = { message: 'no', cause: new Error(SECRET) } as unknown as string
  for (const Refusal of [ValidationError, UnauthenticatedError, AuthorisationError, ConflictError]) {
    const raised = (): Error => new Refusal(given)
    t.throws(raised, {
      code: 'HOLDFAST_ERR_ERROR_PAGES_OPTION',
      message: `error-pages option "detail of ${Refusal.name}" must be a text, received something of type object`,
    })
  }
  t.throws(() => new ConflictError(null as unknown as string), { message: /received null$/ })
})

t.test('an answer that took too long is told as one, and nothing of its route', async (t) => {
  const failure = failureOf({
    code: 'FST_ERR_HANDLER_TIMEOUT',
    statusCode: 503,
    message: "Request timed out after 30000 ms on route '/secret'",
  })
  t.match(failure, { status: 503, detail: /^This took too long\./, level: 'error' })
})
