import type { ClientConfig, QueryResult } from 'pg'
import { type Guardrails, guardrailDefaults, type ResolvedGuardrails } from './guardrails.ts'
import { checks } from './option-checks.ts'

/** What `onConnect` gets: a connection that nobody else has yet. */
export interface NewConnection {
  query(sql: string, parameters?: readonly unknown[]): Promise<QueryResult>
}

/** Where the database is, and how its connections are kept. Every one but the address has a default. */
export interface ConnectionOptions {
  /**
   * `postgresql://...`, as pg takes it; it wins over `connection`. Default: as pg reads it from the environment
   * (`PGHOST`, ...).
   */
  readonly connectionString?: string | undefined
  /** Everything else pg takes, such as `ssl`. Default: none. */
  readonly connection?: ClientConfig | undefined
  /** Connections kept open without work, opened at once, four at a time. Default 2, or `max` when that is less. */
  readonly min?: number
  /** For one attempt to connect, in ms. Default 5000. */
  readonly connectTimeoutMs?: number
  /** Above `min`, an idle connection is closed after so many ms; `Infinity` for never. Default 30,000. */
  readonly idleTimeoutMs?: number
  /** A connection that was idle for longer is tried before it is lent, in ms. Default 10,000. */
  readonly pingAfterIdleMs?: number
  /** What the trial may take, in ms. Default 500. */
  readonly pingTimeoutMs?: number
  /** A connection is closed after so many ms, when it is not in use; `Infinity` for never. Default 3,600,000. */
  readonly maxLifetimeMs?: number
  /** The lifetime of each is shorter by up to this share, so that not all end at once. Default 0.2. */
  readonly lifetimeJitter?: number
  /** Runs on every new connection before its first loan. It may take `connectTimeoutMs`. Default: none. */
  readonly onConnect?: ((connection: NewConnection) => unknown) | undefined
  /** One statement outside of a transaction, in ms; `Infinity` for no limit. Default 3000. */
  readonly statementTimeoutMs?: number
  /** What the server is to enforce in transactions. Default: see there. */
  readonly guardrails?: Guardrails
  /** What the server gets to enforce its limit before a CancelRequest is sent, in ms. Default 250. */
  readonly graceMs?: number
  /** How long a cancelled statement may take to end before its connection is destroyed, in ms. Default 250. */
  readonly cancelTimeoutMs?: number
  /** CancelRequests at a time. Default 2. */
  readonly maxConcurrentCancels?: number
  /** Whether statements may have names: they fail behind PgBouncer before 1.21. Default false. */
  readonly namedStatements?: boolean
  /** A client that is held for longer is reported, in ms; `Infinity` for never. Default 10,000. */
  readonly leakAfterMs?: number
  /** A client that is held for longer is taken back, in ms. Default `Infinity`: never. */
  readonly reclaimAfterMs?: number
  /** One checkout in so many records where it was. Default 32; 1 for every one. */
  readonly stackEvery?: number
}

/** What is not said; `min` is for the pool to say. */
export const connectionDefaults = {
  connectTimeoutMs: 5000,
  idleTimeoutMs: 30_000,
  pingAfterIdleMs: 10_000,
  pingTimeoutMs: 500,
  maxLifetimeMs: 3_600_000,
  lifetimeJitter: 0.2,
  statementTimeoutMs: 3000,
  graceMs: 250,
  cancelTimeoutMs: 250,
  maxConcurrentCancels: 2,
  namedStatements: false,
  leakAfterMs: 10_000,
  reclaimAfterMs: Number.POSITIVE_INFINITY,
  stackEvery: 32,
} as const

/** The address and everything else of a connection, as pg takes it. */
export function clientConfig({ connection, connectionString }: ConnectionOptions): ClientConfig {
  return { ...connection, ...(connectionString === undefined ? {} : { connectionString }) }
}

/** Fills in the defaults for a pool of `max`; raises `HOLDFAST_ERR_POOL_GUARD_OPTION` for a wrong value. */
export function resolveConnections(options: ConnectionOptions, max: number) {
  const { connectionString, connection, onConnect } = options
  const or = connectionDefaults
  if (connectionString !== undefined) checks.text('connectionString', connectionString, 4096)
  if (connection !== undefined) checks.object('connection', connection)
  return {
    connectionString,
    connection,
    onConnect: checks.callable('onConnect', onConnect),
    min: checks.count('min', options.min ?? Math.min(2, max), 0, max),
    connectTimeoutMs: checks.duration('connectTimeoutMs', options.connectTimeoutMs ?? or.connectTimeoutMs, 1),
    idleTimeoutMs: checks.durationOrInfinity('idleTimeoutMs', options.idleTimeoutMs ?? or.idleTimeoutMs),
    pingAfterIdleMs: checks.durationOrInfinity(
      'pingAfterIdleMs',
      options.pingAfterIdleMs ?? or.pingAfterIdleMs,
    ),
    pingTimeoutMs: checks.duration('pingTimeoutMs', options.pingTimeoutMs ?? or.pingTimeoutMs, 1),
    maxLifetimeMs: checks.durationOrInfinity('maxLifetimeMs', options.maxLifetimeMs ?? or.maxLifetimeMs, 1),
    lifetimeJitter: checks.number('lifetimeJitter', options.lifetimeJitter ?? or.lifetimeJitter, 0, 1),
    statementTimeoutMs: checks.durationOrInfinity(
      'statementTimeoutMs',
      options.statementTimeoutMs ?? or.statementTimeoutMs,
      1,
    ),
    guardrails: resolveGuardrails(options.guardrails ?? {}),
    graceMs: checks.duration('graceMs', options.graceMs ?? or.graceMs),
    cancelTimeoutMs: checks.duration('cancelTimeoutMs', options.cancelTimeoutMs ?? or.cancelTimeoutMs, 1),
    maxConcurrentCancels: checks.count(
      'maxConcurrentCancels',
      options.maxConcurrentCancels ?? or.maxConcurrentCancels,
      1,
      1000,
    ),
    namedStatements: checks.flag('namedStatements', options.namedStatements ?? or.namedStatements),
    leakAfterMs: checks.durationOrInfinity('leakAfterMs', options.leakAfterMs ?? or.leakAfterMs, 1),
    reclaimAfterMs: checks.durationOrInfinity(
      'reclaimAfterMs',
      options.reclaimAfterMs ?? or.reclaimAfterMs,
      1,
    ),
    stackEvery: checks.count('stackEvery', options.stackEvery ?? or.stackEvery),
  }
}

/** 0 is PostgreSQL's "no limit". A lock_timeout that is not shorter than the statement_timeout would never come first. */
function resolveGuardrails(given: Guardrails): ResolvedGuardrails {
  const options = checks.object('guardrails', given)
  const limit = (name: keyof Guardrails) =>
    checks.duration(`guardrails.${name}`, options[name] ?? guardrailDefaults[name])
  const resolved = {
    statementTimeoutMs: limit('statementTimeoutMs'),
    lockTimeoutMs: limit('lockTimeoutMs'),
    idleInTransactionTimeoutMs: limit('idleInTransactionTimeoutMs'),
    transactionTimeoutMs: limit('transactionTimeoutMs'),
  }
  checks.onlyKnown('guardrails.', options, Object.keys(resolved))
  const { statementTimeoutMs, lockTimeoutMs } = resolved
  if (statementTimeoutMs > 0 && lockTimeoutMs >= statementTimeoutMs && options.lockTimeoutMs !== undefined) {
    const expected = `shorter than statementTimeoutMs (${statementTimeoutMs} ms), or it never comes first`
    checks.refuse('guardrails.lockTimeoutMs', expected, lockTimeoutMs)
  }
  return resolved
}
