import { type Clock, systemClock } from '@holdfast/footing'
import type { ClassLimits } from './admission.ts'
import { type ConnectionOptions, resolveConnections } from './connection-options.ts'
import type { GateLog } from './gate.ts'
import { checks } from './option-checks.ts'
import type { PressureLimits } from './pressure.ts'
import type { Criticality } from './request-scope.ts'

/** How many of one class wait, and how long. */
export interface WaitOptions {
  /** Waiting at once; 0: this class never waits. Default: that of the class, see there. */
  readonly maxWaiting?: number
  /** Longest wait for a connection, in ms; 0: this class never waits. Default: that of the class, see there. */
  readonly maxWaitMs?: number
}

/** When `saturated` and `pressure` speak. */
export interface PressureOptions {
  /** The share of `max` in use from which on the pool is saturated. Default 0.85. */
  readonly saturatedAt?: number
  /** How many waiting saturate the pool by themselves. Default 5. */
  readonly saturatedWaiting?: number
  /** How long saturation must last to become pressure, in ms; 0: at once. Default 250. */
  readonly sustainMs?: number
  /** Pressure goes when the share in use stays below this. Default 0.7. */
  readonly clearBelow?: number
  /** How long it must stay below, in ms. Default 1000. */
  readonly clearMs?: number
}

/** When the database counts as gone. */
export interface BreakerOptions {
  /** Failures of the infrastructure in a row that open the breaker. Default 5. */
  readonly failureThreshold?: number
  /** How long an operator should expect it to stay open, in ms; it closes as soon as a probe succeeds. Default 30,000. */
  readonly openMs?: number
  /** The time between two probes while it is open, in ms. Default 500. */
  readonly probeIntervalMs?: number
  /** Longest probe, in ms. Default 1000. */
  readonly probeTimeoutMs?: number
}

/** PgBouncer's own view of its pools, as one more source of pressure. */
export interface PoolerOptions {
  /** Its console, as a user who may read it (`stats_users`): `postgresql://stats@host:6432/pgbouncer`. */
  readonly connectionString: string
  /** The time between two looks, in ms. Default 1000. */
  readonly intervalMs?: number
  /** Longest look, in ms. Default 500. */
  readonly timeoutMs?: number
  /** Only this database of the pooler counts. Default: the one of the pool. */
  readonly database?: string
  /** Clients of all processes that wait there, from which on it counts as saturated. Default 5. */
  readonly saturatedWaiting?: number
  /** How long the first of them has waited, in ms, from which on it does. Default 250. */
  readonly saturatedWaitMs?: number
}

/** Settings of a `PoolGuard`. Every one but the address has a default. */
export interface PoolGuardOptions extends ConnectionOptions {
  /** The name of the pool in errors, events, logs, metrics and `showPools()`. Default `main`. */
  readonly name?: string
  /** The label `process_type` of the metrics. Default `web`. */
  readonly processType?: string
  /** Connections. Default 20. */
  readonly max?: number
  /** More connections for critical and normal work when `max` are in use. Default 0. */
  readonly maxOverflow?: number
  /** The share of `max` that only critical work may use, rounded; at least one connection of two or more. Default 0.15. */
  readonly reserve?: number
  /** Normal work waiting at once; 0: it never waits. Default 5. */
  readonly maxWaiting?: number
  /** Longest wait of normal work, in ms; 0: it never waits. Default 40. */
  readonly maxWaitMs?: number
  /** How critical work waits. Default 10 times `max`, for 2000 ms. */
  readonly critical?: WaitOptions
  /** How background work waits, when nobody else does. Default 2, for 20 ms. */
  readonly background?: WaitOptions
  /** Normal work that has waited so long takes turns with critical work, in ms. Default half of `maxWaitMs`. */
  readonly promoteAfterMs?: number
  /** The share of the slots a tenant may hold while another waits. Default 0.5. */
  readonly tenantShare?: number
  /** When `saturated` and `pressure` speak. Default: see there. */
  readonly pressure?: PressureOptions
  /** When the database counts as gone; `false`: never. Default: see there. */
  readonly breaker?: BreakerOptions | false
  /** PgBouncer's own view, as one more source of pressure. Default: not asked. */
  readonly pooler?: PoolerOptions
  /** Told in one line about every change of pressure and breaker, and about leaks; pino fits. Default: nobody. */
  readonly log?: GateLog
  /** Where time comes from. Default `systemClock`. */
  readonly clock?: Clock
  /** Numbers in [0, 1), for jitter. Default `Math.random`. */
  readonly random?: () => number
}

/** The options of admission with every default filled in. */
export interface ResolvedAdmission {
  readonly name: string
  readonly processType: string
  readonly max: number
  readonly maxOverflow: number
  /** Slots, no share. */
  readonly reserve: number
  readonly classes: Readonly<Record<Criticality, ClassLimits>>
  readonly promoteAfterMs: number
  readonly tenantShare: number
  readonly pressure: PressureLimits
  readonly breaker: Required<BreakerOptions> | undefined
  readonly clock: Clock
  readonly random: () => number
}

/** Fills in the defaults; raises `HOLDFAST_ERR_POOL_GUARD_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: PoolGuardOptions) {
  checks.object('options', options)
  const admission = resolveAdmission(options)
  const connections = resolveConnections(options, admission.max)
  const pooler = options.pooler === undefined ? undefined : resolvePooler(options.pooler)
  const log = checks.having('log', options.log, ['info', 'warn'])
  const { processType: _, classes: __, ...names } = admission
  checks.onlyKnown('', options, [
    ...Object.keys(names),
    ...Object.keys(connections),
    'processType',
    'maxWaiting',
    'maxWaitMs',
    'critical',
    'background',
    'pooler',
    'log',
  ])
  return { admission, connections, pooler, log }
}

function resolveAdmission(options: PoolGuardOptions): ResolvedAdmission {
  const max = checks.count('max', options.max ?? 20, 1, 10_000)
  const maxWaitMs = checks.duration('maxWaitMs', options.maxWaitMs ?? 40)
  return {
    name: checks.text('name', options.name ?? 'main', 64),
    processType: checks.text('processType', options.processType ?? 'web', 64),
    max,
    maxOverflow: checks.count('maxOverflow', options.maxOverflow ?? 0, 0, 10_000),
    reserve: slotsOf(checks.number('reserve', options.reserve ?? 0.15, 0, 0.9), max),
    classes: {
      critical: waits('critical', options.critical, { maxWaiting: 10 * max, maxWaitMs: 2000 }),
      normal: {
        maxWaiting: checks.count('maxWaiting', options.maxWaiting ?? 5, 0, 100_000),
        maxWaitMs,
      },
      background: waits('background', options.background, { maxWaiting: 2, maxWaitMs: 20 }),
    },
    promoteAfterMs: checks.duration('promoteAfterMs', options.promoteAfterMs ?? maxWaitMs / 2),
    tenantShare: checks.number('tenantShare', options.tenantShare ?? 0.5, 0.01, 1),
    pressure: resolvePressure(options.pressure ?? {}),
    breaker: resolveBreaker(options.breaker ?? {}),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    random: checks.callable('random', options.random ?? Math.random),
  }
}

/** A reserve that was asked for is never rounded away, and leaves something to the others. */
function slotsOf(share: number, max: number): number {
  if (share === 0 || max < 2) return 0
  return Math.min(max - 1, Math.max(1, Math.round(share * max)))
}

function waits(name: string, given: WaitOptions | undefined, otherwise: ClassLimits): ClassLimits {
  const options = checks.object(name, given ?? {})
  checks.onlyKnown(`${name}.`, options, ['maxWaiting', 'maxWaitMs'])
  return {
    maxWaiting: checks.count(`${name}.maxWaiting`, options.maxWaiting ?? otherwise.maxWaiting, 0, 100_000),
    maxWaitMs: checks.duration(`${name}.maxWaitMs`, options.maxWaitMs ?? otherwise.maxWaitMs),
  }
}

function resolvePressure(given: PressureOptions): PressureLimits {
  const options = checks.object('pressure', given)
  const saturatedAt = checks.number('pressure.saturatedAt', options.saturatedAt ?? 0.85, 0.01, 1)
  const resolved = {
    saturatedAt,
    saturatedWaiting: checks.count('pressure.saturatedWaiting', options.saturatedWaiting ?? 5),
    sustainMs: checks.duration('pressure.sustainMs', options.sustainMs ?? 250),
    clearBelow: checks.number(
      'pressure.clearBelow',
      options.clearBelow ?? Math.min(0.7, saturatedAt),
      0.01,
      saturatedAt,
    ),
    clearMs: checks.duration('pressure.clearMs', options.clearMs ?? 1000),
  }
  checks.onlyKnown('pressure.', options, Object.keys(resolved))
  return resolved
}

function resolveBreaker(given: BreakerOptions | false): Required<BreakerOptions> | undefined {
  if (given === false) return undefined
  const options = checks.object('breaker', given)
  const resolved = {
    failureThreshold: checks.count('breaker.failureThreshold', options.failureThreshold ?? 5),
    openMs: checks.duration('breaker.openMs', options.openMs ?? 30_000, 1),
    probeIntervalMs: checks.duration('breaker.probeIntervalMs', options.probeIntervalMs ?? 500, 1),
    probeTimeoutMs: checks.duration('breaker.probeTimeoutMs', options.probeTimeoutMs ?? 1000, 1),
  }
  checks.onlyKnown('breaker.', options, Object.keys(resolved))
  return resolved
}

function resolvePooler(
  given: PoolerOptions,
): Required<Omit<PoolerOptions, 'database'>> & { readonly database: string | undefined } {
  const options = checks.object('pooler', given)
  const resolved = {
    connectionString: checks.text('pooler.connectionString', options.connectionString, 4096),
    intervalMs: checks.duration('pooler.intervalMs', options.intervalMs ?? 1000, 10),
    timeoutMs: checks.duration('pooler.timeoutMs', options.timeoutMs ?? 500, 1),
    database: options.database === undefined ? undefined : checks.text('pooler.database', options.database),
    saturatedWaiting: checks.count('pooler.saturatedWaiting', options.saturatedWaiting ?? 5),
    saturatedWaitMs: checks.duration('pooler.saturatedWaitMs', options.saturatedWaitMs ?? 250, 1),
  }
  checks.onlyKnown('pooler.', options, Object.keys(resolved))
  return resolved
}

export type ResolvedPooler = ReturnType<typeof resolvePooler>
