import type { ColumnType, Generated, GeneratedAlways } from 'kysely'

/** The tables, as Kysely sees them. `migrations/` is what creates them. */
export interface Database {
  tenants: TenantsTable
  themes: ThemesTable
  theme_versions: ThemeVersionsTable
  theme_preview_events: ThemePreviewEventsTable
  users: UsersTable
  bots: BotsTable
  bot_events: BotEventsTable
  registrations: RegistrationsTable
  password_resets: PasswordResetsTable
  refresh_families: RefreshFamiliesTable
  refresh_tokens: RefreshTokensTable
  maintenance_changes: MaintenanceChangesTable
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
  /** Sessions and tokens of its users that began before are over. */
  sessions_valid_after: Generated<Date | null>
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

/** Every version that a theme has had; written by a trigger alone, never changed. */
export interface ThemeVersionsTable {
  tenant_id: GeneratedAlways<string>
  version: GeneratedAlways<string>
  theme: GeneratedAlways<unknown>
  saved_at: GeneratedAlways<Date>
}

/** One row per preview of a theme that somebody looked at; never changed. */
export interface ThemePreviewEventsTable {
  id: GeneratedAlways<string>
  tenant_id: string
  /** Chosen by the client; unique within the tenant. */
  event_id: string
  theme_version: string
  viewport: 'desktop' | 'tablet' | 'mobile'
  received_at: GeneratedAlways<Date>
}

/** A person of a tenant. */
export interface UsersTable {
  id: GeneratedAlways<string>
  tenant_id: string
  /** In lower case; unique within the tenant. */
  email: string
  role: Generated<'user' | 'operator' | 'admin'>
  /** A suspended user is treated like an unknown one. */
  status: Generated<'active' | 'suspended'>
  /** Null: nobody can sign in with a password. */
  password_hash: Generated<string | null>
  password_changed_at: Generated<Date | null>
  /** Sessions and tokens that began before are over. */
  sessions_valid_after: Generated<Date | null>
  /** Only who has a larger one may write to a bot of this user. */
  fence_of_last_operation: Generated<string>
  created_at: Generated<Date>
}

/** A trading bot of a user. */
export interface BotsTable {
  id: GeneratedAlways<string>
  user_id: string
  name: string
  status: Generated<'stopped' | 'running' | 'failed'>
  changed_at: Generated<Date>
  created_at: Generated<Date>
}

/** One row for each operation that changed a bot; never changed. */
export interface BotEventsTable {
  id: GeneratedAlways<string>
  bot_id: string
  user_id: string
  kind: 'started' | 'stopped' | 'recovered'
  from_status: string
  to_status: string
  fence: string
  at: Date
}

/** Who has registered and not yet shown that the mailbox is his. */
export interface RegistrationsTable {
  token_digest: Buffer
  tenant_id: string
  /** In lower case. */
  email: string
  password_hash: string
  expires_at: Date
  created_at: Generated<Date>
}

/** A password that somebody has forgotten. */
export interface PasswordResetsTable {
  token_digest: Buffer
  user_id: string
  expires_at: Date
  created_at: Generated<Date>
}

/** One sign-in of a client that keeps tokens. */
export interface RefreshFamiliesTable {
  id: string
  user_id: string
  client: string | null
  created_at: Generated<Date>
  last_used_at: Generated<Date>
  expires_at: Date
  revoked_at: Generated<Date | null>
  revoked_why: Generated<'logout' | 'revoked' | 'reuse' | 'password' | 'evicted' | null>
}

/** A refresh token; each is used once. */
export interface RefreshTokensTable {
  token_digest: Buffer
  family_id: string
  parent_digest: Buffer | null
  expires_at: Date
  used_at: Generated<Date | null>
  sealed_successor: Generated<Buffer | null>
  created_at: Generated<Date>
}

/** Every change of what is closed, and of the banner; never changed. */
export interface MaintenanceChangesTable {
  version: string
  at: Date
  action: string
  subject: string | null
  by: string | null
  reason: string | null
  request_id: string | null
  /** Everything that was in force and planned from then on. */
  document: string
}
