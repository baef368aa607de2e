// How the configuration becomes a pool: that of the service, and that of somebody who changes tables.

import type { Guardrails, PoolGuardOptions } from '@holdfast/pool-guard'
import type { Config } from '../config.ts'
import type { Secret } from '../secret.ts'
import { shareOf } from '../worker-share.ts'

const DEFAULT_LOCK_TIMEOUT_MS = 1000
/** Migrations and commands may take their time, but not forever. */
const PATIENT_STATEMENT_TIMEOUT_MS = 600_000
/** For who only looks: shorter than the time of a check, so that it is said what did not answer. */
export const LOOK_CONNECT_MS = 3000

/** The pool that requests and the service's own loops share, in one of so many workers. */
export function servicePool(config: Config, url: Secret, workers: number): PoolGuardOptions {
  const { pgbouncerAdminUrl } = config
  const { poolMax, poolOverflow, poolMin } = shareOf(config, workers)
  return {
    name: 'database',
    connectionString: url.reveal(),
    connection: { application_name: 'holdfast-api', keepAlive: true },
    // What does everything is, for whoever looks at the metrics, one that serves.
    processType: config.processType === 'all' ? 'web' : config.processType,
    max: poolMax,
    maxOverflow: poolOverflow,
    min: poolMin,
    connectTimeoutMs: config.dbConnTimeoutMs,
    statementTimeoutMs: config.dbStatementTimeoutMs,
    guardrails: guardrailsOf(config),
    // Back within a second of the database: one probe that has just failed, and the one after it.
    breaker: { failureThreshold: 5, openMs: 30_000, probeIntervalMs: 250, probeTimeoutMs: 750 },
    ...(pgbouncerAdminUrl !== undefined && { pooler: { connectionString: pgbouncerAdminUrl.reveal() } }),
  }
}

/** The same for who only looks: with its limits, which are what is looked at, and a connection for each question. */
export function lookingPool(config: Config, url: Secret): PoolGuardOptions {
  const few = { max: 4, min: 0, maxOverflow: 0, reserve: 0, breaker: false } as const
  return { ...servicePool(config, url, 1), ...few, connectTimeoutMs: LOOK_CONNECT_MS }
}

/** One connection for migrations, demo data and commands, under another name and without the service's haste. */
export function patientPool(config: Config, url: Secret, name: string): PoolGuardOptions {
  return {
    name,
    connectionString: url.reveal(),
    connection: { application_name: `holdfast-${name}`, keepAlive: true },
    max: 1,
    min: 0,
    connectTimeoutMs: config.dbConnTimeoutMs,
    statementTimeoutMs: PATIENT_STATEMENT_TIMEOUT_MS,
    leakAfterMs: Number.POSITIVE_INFINITY,
    breaker: false,
  }
}

function guardrailsOf(config: Config): Guardrails {
  const { dbStatementTimeoutMs, dbLockTimeoutMs, dbIdleInTransactionTimeoutMs } = config
  return {
    statementTimeoutMs: dbStatementTimeoutMs,
    lockTimeoutMs: dbLockTimeoutMs ?? Math.min(DEFAULT_LOCK_TIMEOUT_MS, dbStatementTimeoutMs / 2),
    idleInTransactionTimeoutMs: dbIdleInTransactionTimeoutMs,
  }
}
