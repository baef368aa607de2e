import { type Clock, systemClock } from '@holdfast/footing'
import type { ConnectionOptions } from './connection-options.ts'
import type { ResolvedGuardrails } from './guardrails.ts'
import type { PoolEvent } from './pool-events.ts'

/** Settings of a pool. Every one but the address has a default. */
export interface ConnectionPoolSettings extends ConnectionOptions {
  /** For logs. Default `database`. */
  readonly name?: string
  /** Connections that stay open once they are. Default 20. */
  readonly max?: number
  /** More than `max` at need, which are closed when they were idle for five seconds. Default 0. */
  readonly overflow?: number
  readonly onEvent?: ((event: PoolEvent) => void) | undefined
  readonly clock?: Clock
  /** In [0, 1), for the jitter. Default: none, all connections live equally long. */
  readonly random?: (() => number) | undefined
}

/** With every default filled in. */
export type ResolvedSettings = ReturnType<typeof withDefaults>

/** What `PoolGuard` has checked before needs no check here. */
export function withDefaults(settings: ConnectionPoolSettings) {
  const guardrails: ResolvedGuardrails = {
    statementTimeoutMs: settings.guardrails?.statementTimeoutMs ?? 3000,
    lockTimeoutMs: settings.guardrails?.lockTimeoutMs ?? 1000,
    idleInTransactionTimeoutMs: settings.guardrails?.idleInTransactionTimeoutMs ?? 5000,
    transactionTimeoutMs: settings.guardrails?.transactionTimeoutMs ?? 0,
  }
  return {
    name: settings.name ?? 'database',
    max: settings.max ?? 20,
    overflow: settings.overflow ?? 0,
    min: settings.min ?? 0,
    connectTimeoutMs: settings.connectTimeoutMs ?? 5000,
    idleTimeoutMs: settings.idleTimeoutMs ?? 30_000,
    pingAfterIdleMs: settings.pingAfterIdleMs ?? 10_000,
    pingTimeoutMs: settings.pingTimeoutMs ?? 500,
    maxLifetimeMs: settings.maxLifetimeMs ?? 3_600_000,
    lifetimeJitter: settings.lifetimeJitter ?? 0.2,
    onConnect: settings.onConnect,
    statementTimeoutMs: settings.statementTimeoutMs ?? 3000,
    guardrails,
    graceMs: settings.graceMs ?? 250,
    cancelTimeoutMs: settings.cancelTimeoutMs ?? 250,
    maxConcurrentCancels: settings.maxConcurrentCancels ?? 2,
    namedStatements: settings.namedStatements ?? false,
    leakAfterMs: settings.leakAfterMs ?? 10_000,
    reclaimAfterMs: settings.reclaimAfterMs ?? Number.POSITIVE_INFINITY,
    stackEvery: settings.stackEvery ?? 32,
    clock: settings.clock ?? systemClock,
    random: settings.random ?? (() => 0),
  }
}
