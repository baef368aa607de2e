import type { ColumnType, Generated, GeneratedAlways } from 'kysely'

/** The tables, as Kysely sees them. `migrations/` is what creates them. */
export interface Database {
  tenants: TenantsTable
  themes: ThemesTable
}

/** One row per tenant (operator). */
export interface TenantsTable {
  /** `bigint`, which the driver hands over as text. */
  id: GeneratedAlways<string>
  /** First part of every public path; at most 63 of `a-z 0-9 -`. */
  slug: string
  name: string
  /** A suspended tenant is treated like an unknown one. */
  status: Generated<'active' | 'suspended'>
  created_at: Generated<Date>
}

/** The branding of a tenant. */
export interface ThemesTable {
  slug: string
  /** A theme document; members it leaves out take the default theme's value. */
  theme: ColumnType<unknown, string, string>
  /** Set by a trigger at every insert and update, so that plain SQL counts as a change too. */
  version: GeneratedAlways<string>
  updated_at: GeneratedAlways<Date>
}
