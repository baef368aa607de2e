import t from 'tap'
import { classifyError, sqlStateOf } from '../src/index.ts'

const error = (code: string, message = '', severity = 'ERROR') =>
  Object.assign(new Error(message), { code, severity })

t.test('what the caller did wrong is not the fault of the database', async (t) => {
  for (const code of ['23505', '22P02', '42601', '42P01', '40002', 'P0001', '0A000']) {
    t.match(classifyError(error(code)), { kind: 'caller', sqlState: code, retryable: false, fatal: false })
  }
  for (const other of [new Error('mine'), 'text', undefined, null, 7, new TypeError('x')]) {
    t.match(classifyError(other), { kind: 'caller', sqlState: undefined, retryable: false, fatal: false })
  }
})

t.test('who lost against others may try again, but not against a lock', async (t) => {
  t.match(classifyError(error('40001')), { kind: 'contention', retryable: true })
  t.match(classifyError(error('40P01')), { kind: 'contention', retryable: true })
  t.match(classifyError(error('55P03')), { kind: 'contention', retryable: false })
})

t.test('what ends the connection is told', async (t) => {
  t.match(classifyError(error('57P01', '', 'FATAL')), {
    kind: 'infrastructure',
    fatal: true,
    retryable: false,
    reason: /ended the connection/,
  })
  t.match(classifyError(error('57P02', '', 'FATAL')), { kind: 'infrastructure', fatal: true })
  t.match(classifyError(error('57P03', '', 'FATAL')), { kind: 'infrastructure', retryable: true })
  t.match(classifyError(error('53300', '', 'FATAL')), { kind: 'infrastructure', retryable: true })
  t.match(classifyError(error('53200')), { kind: 'infrastructure', fatal: false })
  t.match(classifyError(error('XX000', '', 'PANIC')), { kind: 'infrastructure', fatal: true })
  t.match(classifyError(error('25P03', '', 'FATAL')), { kind: 'caller', fatal: true, reason: /idle/ })
  t.match(classifyError(error('25P04', '', 'FATAL')), { kind: 'caller', fatal: true })
})

t.test('a cancelled statement is a time-out until it is known who asked', async (t) => {
  t.match(classifyError(error('57014')), { kind: 'timeout', sqlState: '57014', retryable: false })
})

t.test('the one code of PgBouncer is told apart by its texts', async (t) => {
  const cases: readonly (readonly [text: string, retryable: boolean])[] = [
    ['query_wait_timeout', true],
    ['server login has been failing, try again later (server_login_retry)', true],
    ['no more connections allowed (max_client_conn)', true],
    ['sorry, too many clients already', true],
    ['remaining connection slots are reserved for roles with the SUPERUSER attribute', true],
    ['the database system is shutting down', true],
    ['connect timeout', true],
    ['pgbouncer is shutting down', true],
    ['server conn crashed?', false],
    ['query_timeout', false],
    ['idle transaction timeout', false],
    ['something new', false],
  ]
  for (const [text, retryable] of cases) {
    t.match(
      classifyError(error('08P01', text, 'FATAL')),
      { kind: 'infrastructure', retryable, fatal: true },
      text,
    )
  }
  t.match(classifyError(error('08P01', 'unsupported startup parameter: statement_timeout', 'FATAL')), {
    kind: 'caller',
    reason: /startup parameter/,
  })
})

t.test('a broken way to the database is infrastructure, whatever it is called', async (t) => {
  for (const code of ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'CERT_HAS_EXPIRED']) {
    t.match(classifyError(error(code)), { kind: 'infrastructure', fatal: true, sqlState: undefined }, code)
  }
  for (const text of [
    'Connection terminated unexpectedly',
    'Client has encountered a connection error and is not queryable',
    'The server does not support SSL connections',
  ]) {
    t.match(classifyError(new Error(text)), { kind: 'infrastructure', fatal: true }, text)
  }
})

t.test('the state of a wrapped error is found, and nothing else is taken for one', async (t) => {
  t.equal(sqlStateOf(Object.assign(new Error(), { code: 'HOLDFAST_X', sqlState: '57P01' })), '57P01')
  t.equal(sqlStateOf(error('EPIPE')), undefined)
  t.equal(sqlStateOf(error('23505')), '23505')
  t.equal(sqlStateOf({ code: 23505 }), undefined)
})
