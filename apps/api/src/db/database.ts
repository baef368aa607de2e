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
  balances: BalancesTable
  ledger_entries: LedgerEntriesTable
  sport_events: SportEventsTable
  odds: OddsTable
  provider_pace: ProviderPaceTable
  bets: BetsTable
  leases: LeasesTable
  trades: TradesTable
  notifications: NotificationsTable
  audit_log: AuditLogTable
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
  /** ISO 4217. */
  currency: Generated<string>
  /** What each of its users begins with. */
  opening_balance_minor: Generated<string>
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
  strategy: Generated<string>
  symbol: Generated<string>
  /** Paper money of the bot; it is none of its user's balance. */
  cash_minor: Generated<string>
  /** Units that it holds. */
  position: Generated<string>
  /** The tick of the market at which it has last traded. */
  last_tick: Generated<string>
  /** What the client called the request that created it; unique for a user. */
  idempotency_key: Generated<string | null>
  request_digest: Generated<Buffer | null>
  changed_at: Generated<Date>
  created_at: Generated<Date>
}

/** One row for each operation that changed a bot; never changed. */
export interface BotEventsTable {
  id: GeneratedAlways<string>
  bot_id: string
  user_id: string
  kind: 'started' | 'stopped' | 'recovered' | 'taken_over' | 'failed' | 'holding' | 'trading_again'
  from_status: string
  to_status: string
  fence: string
  reason: string | null
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

/** What a user has: the sum of his entries. Written by triggers alone. */
export interface BalancesTable {
  user_id: GeneratedAlways<string>
  currency: GeneratedAlways<string>
  balance_minor: GeneratedAlways<string>
  changed_at: GeneratedAlways<Date>
}

/** Every movement of money; never changed. An insert moves the balance, or fails where there is too little. */
export interface LedgerEntriesTable {
  id: GeneratedAlways<string>
  user_id: string
  kind: 'opening' | 'stake' | 'payout' | 'refund'
  amount_minor: string
  /** Set by a trigger, whatever is written. */
  balance_after_minor: string
  bet_id: string | null
  at: Generated<Date>
}

/** What can be bet on. */
export interface SportEventsTable {
  id: GeneratedAlways<string>
  sport: string
  /** What the provider calls it; unique for a sport. */
  provider_ref: string
  name: string
  starts_at: Date
  status: Generated<'scheduled' | 'live' | 'finished' | 'void'>
  /** The selection that won in each market; a market that is not named is void. Null until it is finished. */
  result: ColumnType<Record<string, string> | null, string | null, string | null>
  /** What is older never replaces what is newer. */
  provider_version: Generated<string>
  changed_at: Generated<Date>
}

/** What a selection pays at the moment. */
export interface OddsTable {
  event_id: string
  market: string
  selection: string
  /** Thousandths of the stake. */
  odds_milli: number
  provider_version: string
  changed_at: Generated<Date>
}

/** When a provider may be asked next, by whichever process. */
export interface ProviderPaceTable {
  provider: string
  next_request_at: Date
}

/** A bet of a user. */
export interface BetsTable {
  id: GeneratedAlways<string>
  user_id: string
  event_id: string
  market: string
  selection: string
  stake_minor: string
  odds_milli: number
  status: Generated<'open' | 'won' | 'lost' | 'void'>
  /** Null until it is settled. */
  payout_minor: Generated<string | null>
  /** What the client called the request; unique for a user. */
  idempotency_key: string
  request_digest: Buffer
  placed_at: Generated<Date>
  settled_at: Generated<Date | null>
}

/** Who does what only one may do. */
export interface LeasesTable {
  name: string
  /** What it is a lease of: what stands before the first `/` of the name. */
  kind: GeneratedAlways<string>
  owner: string
  fence: string
  expires_at: Date
}

/** What a bot bought or sold; never changed. */
export interface TradesTable {
  id: GeneratedAlways<string>
  bot_id: string
  user_id: string
  /** Unique for a bot. */
  tick: string
  side: 'buy' | 'sell'
  symbol: string
  quantity: string
  price_minor: string
  fence: string
  at: Generated<Date>
}

/** What somebody is to be told. */
export interface NotificationsTable {
  id: GeneratedAlways<string>
  tenant_id: string | null
  /** Null: it is for the operators. */
  user_id: string | null
  kind: string
  channel: 'webhook' | 'telegram'
  /** Whom the bot writes to; null: the webhook. */
  recipient: string | null
  payload: ColumnType<unknown, string, never>
  status: Generated<'pending' | 'sent' | 'dead'>
  attempts: Generated<number>
  claimed_until: Generated<Date | null>
  /** Unique: what several processes say at once is told once. */
  told_once: Generated<string | null>
  last_error: Generated<string | null>
  correlation_id: string | null
  created_at: Generated<Date>
  ended_at: Generated<Date | null>
}

/** Who did what, and what it changed; never changed. */
export interface AuditLogTable {
  id: GeneratedAlways<string>
  at: Generated<Date>
  actor: string
  tenant: string | null
  action: string
  subject: string | null
  before: ColumnType<unknown, string | null, never>
  after: ColumnType<unknown, string | null, never>
  reason: string | null
  correlation_id: string | null
}
