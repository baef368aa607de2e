// The limits that a person sets, by the names of their settings (`start` is RATE_LIMITS_START), and the policies that
// they are. An operator's change stands in place of settings, for as long as he lets it.

import type { PolicySet } from '@holdfast/tenant-rate-limit'
import type { Config } from './config.ts'

/** The policies that each limit sets, for all tenants and, instead, for single ones. */
const POLICIES = {
  start: ['bot-start'],
  stop: ['bot-stop'],
  recover: ['bot-recover'],
  status: ['bot-status'],
  bet: ['bet', 'creation'],
  read: ['read'],
  // Less than the ceiling of all: no tenant can take the bots from the others.
  tenant: ['tenant-bots', 'tenant-history'],
  public: ['public'],
} as const

/** The limits that a tenant can have for itself. */
export type TenantLimitName = keyof typeof POLICIES
export type LimitName = TenantLimitName | 'global' | 'ip'

export const TENANT_LIMIT_NAMES = Object.keys(POLICIES) as readonly TenantLimitName[]
export const LIMIT_NAMES: readonly LimitName[] = [...TENANT_LIMIT_NAMES, 'global', 'ip']

export type TenantLimits = Readonly<Partial<Record<TenantLimitName, string>>>
export type Overrides = Readonly<Record<string, TenantLimits>>

/** All limits, as texts. */
export interface Limits {
  readonly limits: Readonly<Record<LimitName, string>>
  /** By tenant: what it has instead. */
  readonly overrides: Overrides
}

/** What an operator has set. What it does not name is as the settings say. */
export interface LimitChange {
  readonly limits: Readonly<Partial<Record<LimitName, string>>>
  /** A tenant that is named has these and no others of its own. */
  readonly overrides: Overrides
}

/** The limits of the settings. */
export function limitsOf(config: Config): Limits {
  return {
    limits: {
      start: config.rateLimitsStart,
      stop: config.rateLimitsStop,
      recover: config.rateLimitsRecover,
      status: config.rateLimitsStatus,
      bet: config.rateLimitsBet,
      read: config.rateLimitsRead,
      tenant: config.rateLimitsTenant,
      public: config.rateLimitsPublic,
      global: config.rateLimitsGlobal,
      ip: config.rateLimitsIp,
    },
    overrides: config.rateLimitsOverrides ?? {},
  }
}

/** The limits as an operator has changed them. */
export function changed(settings: Limits, change: LimitChange | null): Limits {
  if (change === null) return settings
  return {
    limits: { ...settings.limits, ...change.limits },
    overrides: { ...settings.overrides, ...change.overrides },
  }
}

/** All but that of addresses, for tenant-rate-limit. */
export function policySet({ limits, overrides }: Limits): PolicySet {
  return {
    policies: policiesOf(limits),
    groups: { bots: limits.global },
    overrides: Object.fromEntries(
      Object.entries(overrides).map(([tenant, own]) => [tenant, policiesOf(own)]),
    ),
  }
}

function policiesOf(limits: TenantLimits): Record<string, string> {
  return Object.fromEntries(
    TENANT_LIMIT_NAMES.flatMap((name) => {
      const limit = limits[name]
      return limit === undefined ? [] : POLICIES[name].map((policy) => [policy, limit])
    }),
  )
}
