import { type Clock, systemClock } from '@holdfast/footing'
import { type ConnectionOptions, connectionDefaults } from './connection-options.ts'
import { guardrailDefaults } from './guardrails.ts'
import type { PoolEvent } from './pool-events.ts'

/** Settings of a pool. Every one but the address has a default. */
export interface ConnectionPoolSettings extends ConnectionOptions {
  /** For errors. Default `database`. */
  readonly name?: string
  /** Connections. Default 20. */
  readonly max?: number
  /** More than `max` at need, which are closed when they were idle for five seconds. Default 0. */
  readonly overflow?: number
  /** Told what happens to connections; the same is published, see `PoolEvent`. Default: nobody. */
  readonly onEvent?: ((event: PoolEvent) => void) | undefined
  /** Where time comes from. Default `systemClock`. */
  readonly clock?: Clock
  /** In [0, 1), for the jitter. Default: none, all connections live equally long. */
  readonly random?: () => number
}

/** With every default filled in. */
export type ResolvedSettings = ReturnType<typeof withDefaults>

/** What `PoolGuard` has checked before needs no check here. */
export function withDefaults(settings: ConnectionPoolSettings) {
  return {
    name: 'database',
    max: 20,
    overflow: 0,
    min: 0,
    clock: systemClock,
    random: () => 0,
    ...connectionDefaults,
    ...settings,
    guardrails: { ...guardrailDefaults, ...settings.guardrails },
  }
}
