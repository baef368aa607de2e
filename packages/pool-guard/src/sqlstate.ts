/*
 * What an error of PostgreSQL, PgBouncer or the connection to them means to the one who called.
 *
 * PgBouncer gives nearly all of its errors the code 08P01 (protocol violation) and forwards the server's fatal ones
 * under it, so these are told apart by their texts, as seen with PgBouncer 1.18. The texts of PostgreSQL are never
 * read: they depend on lc_messages.
 */

/**
 * - `infrastructure`: the database, the pooler or the way to them failed; a breaker counts it.
 * - `contention`: the statement was in order and lost against others (a lock, a deadlock, a serialization failure).
 * - `timeout`: the server ended the statement because of its time limit, or because somebody else cancelled it.
 * - `caller`: the statement or its data is wrong; a breaker counts it as a success.
 */
export type ErrorKind = 'infrastructure' | 'contention' | 'timeout' | 'caller'

/** What `classifyError` found. */
export interface Classification {
  readonly kind: ErrorKind
  /** The SQLSTATE of the server's or pooler's answer, when there was one. */
  readonly sqlState?: string | undefined
  /** The work may be done again from its beginning, because nothing of it can have taken effect. */
  readonly retryable: boolean
  /** The connection is gone, or must not be used any more. */
  readonly fatal: boolean
  /** In words, where PgBouncer's text or the state says more than the code. */
  readonly reason?: string | undefined
}

interface ErrorFields {
  readonly code?: unknown
  readonly severity?: unknown
  readonly message?: unknown
  readonly sqlState?: unknown
}

/** PgBouncer's texts, and those of the server that it forwards, all under 08P01. */
const poolerTexts: readonly (readonly [text: RegExp, reason: string, retryable: boolean])[] = [
  // The statement was never handed to a server.
  [/query_wait_timeout/, 'PgBouncer had no server connection in time (query_wait_timeout)', true],
  [/server login has been failing/, 'PgBouncer cannot log in to the server (server_login_retry)', true],
  [/server_login_retry/, 'PgBouncer cannot log in to the server (server_login_retry)', true],
  [/connect(ion)? timeout|server connect failed/i, 'PgBouncer cannot reach the server', true],
  [/no more connections allowed/, 'PgBouncer has max_client_conn clients', true],
  [/remaining connection slots are reserved|too many clients already/, 'the server is full', true],
  [
    /the database system is (starting up|shutting down|in recovery)/,
    'the server is starting or stopping',
    true,
  ],
  // The statement may have run.
  [/server conn crashed\?/, 'the server connection behind PgBouncer broke', false],
  [/query_timeout/, "PgBouncer's query_timeout", false],
  [/idle_transaction_timeout|idle transaction timeout/, "PgBouncer's idle_transaction_timeout", false],
  [
    /pgbouncer (cannot connect|is shutting down)|database .* is (disabled|paused)/,
    'PgBouncer is not serving',
    true,
  ],
]

/** What the caller can do about these himself, although they end the connection. */
const unsupportedStartup = /unsupported startup parameter/

const contention = new Set(['40001', '40P01', '55P03', '55006'])
const retryableContention = new Set(['40001', '40P01'])
/** Classes of states in which the server, not the statement, is at fault. */
const infrastructureClasses = new Set(['08', '53', '57', '58', 'XX', 'F0'])
const socketCodes =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EHOSTDOWN|ENOTFOUND|EAI_AGAIN|ENOENT|EADDRNOTAVAIL|EMFILE|ENFILE|ERR_(TLS|SSL)_.*|CERT_.*)$/
const terminatedText =
  /^Connection terminated|not queryable$|^The server does not support SSL|establishing an SSL connection$/

/** The five characters of a SQLSTATE, when the error carries one. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, sqlState } = fieldsOf(error)
  for (const value of [sqlState, code]) {
    if (typeof value === 'string' && /^[0-9A-Z]{5}$/.test(value) && !/^E[A-Z]{4}$/.test(value)) return value
  }
  return undefined
}

/** Whether the server or the pooler said that it ends the connection with this error. */
export function endsConnection(error: unknown): boolean {
  const { severity } = fieldsOf(error)
  return severity === 'FATAL' || severity === 'PANIC'
}

/** What an error of a statement or of a connection means. Never throws, whatever it is given. */
export function classifyError(error: unknown): Classification {
  const sqlState = sqlStateOf(error)
  const { code, message } = fieldsOf(error)
  const text = typeof message === 'string' ? message : ''
  const fatal = endsConnection(error)
  if (sqlState === undefined) {
    const lost = (typeof code === 'string' && socketCodes.test(code)) || terminatedText.test(text)
    return lost
      ? { kind: 'infrastructure', retryable: false, fatal: true }
      : { kind: 'caller', retryable: false, fatal: false }
  }
  if (sqlState === '08P01') return classifyPooler(text, fatal)
  if (sqlState === '57014') return { kind: 'timeout', sqlState, retryable: false, fatal }
  // The server ended it: too long idle in a transaction (25P03), the whole transaction too long (25P04).
  if (sqlState === '25P03' || sqlState === '25P04') {
    return { kind: 'caller', sqlState, retryable: false, fatal: true, reason: reasons[sqlState] }
  }
  if (contention.has(sqlState)) {
    return { kind: 'contention', sqlState, retryable: retryableContention.has(sqlState), fatal }
  }
  const infrastructure = infrastructureClasses.has(sqlState.slice(0, 2))
  const refused = sqlState === '53300' || sqlState === '57P03'
  return {
    kind: infrastructure ? 'infrastructure' : 'caller',
    sqlState,
    retryable: refused,
    fatal,
    reason: reasons[sqlState],
  }
}

function classifyPooler(text: string, fatal: boolean): Classification {
  const sqlState = '08P01'
  if (unsupportedStartup.test(text)) {
    const reason =
      'PgBouncer refuses this startup parameter: leave the time-outs and `options` out of the connection settings'
    return { kind: 'caller', sqlState, retryable: false, fatal, reason }
  }
  for (const [pattern, reason, retryable] of poolerTexts) {
    if (pattern.test(text)) return { kind: 'infrastructure', sqlState, retryable, fatal, reason }
  }
  return { kind: 'infrastructure', sqlState, retryable: false, fatal }
}

const reasons: Readonly<Record<string, string>> = {
  '25P03': 'the transaction was idle for longer than idle_in_transaction_session_timeout',
  '25P04': 'the transaction was longer than transaction_timeout',
  '53300': 'the server has no connection slot left',
  '57P01': 'the server ended the connection: it stops, or an administrator ended it',
  '57P02': 'a backend of the server crashed, and it ended all connections',
  '57P03': 'the server is starting or stopping',
}

function fieldsOf(error: unknown): ErrorFields {
  return typeof error === 'object' && error !== null ? (error as ErrorFields) : {}
}
