// Who may sign in, in PostgreSQL. Every method is one statement, and so whole or not at all.

import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import type { User } from '../../db/user.ts'
import type { Cutoff, CutoffSource, Moment } from './sign-in-cutoffs.ts'

/** An account as signing in needs it. */
export interface Account extends User {
  /** Undefined: nobody can sign in with a password. */
  readonly passwordHash: string | undefined
}

/** Somebody whose sign-in counts from a moment on. */
export interface ConfirmedUser extends User {
  readonly since: Moment
}

/** How an account is found. */
export interface AccountName {
  /** Slug. */
  readonly tenant: string
  /** In lower case. */
  readonly email: string
}

/** Somebody who registers. */
export interface Registration extends AccountName {
  readonly passwordHash: string
  readonly tokenDigest: Buffer
  readonly ttlMs: number
}

/** What became of a registration. */
export type RegistrationOutcome = 'stored' | 'known' | 'no-tenant'

/** How many rows that are over leave with each new one: more than come, so that their number is bounded. */
const SWEPT = 10
/** No session lasts longer. */
const LONGEST_SESSION = sql.lit('30 days')

/** Reads and changes accounts. Rejects as the driver or the pool does. */
export class AccountRepository implements CutoffSource {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /** The active account of an active tenant. */
  async find({ tenant, email }: AccountName): Promise<Account | undefined> {
    return first(
      await sql<AccountRow>`
        select ${COLUMNS} from users join tenants on tenants.id = users.tenant_id
        where tenants.slug = ${tenant} and users.email = ${email} and ${ACTIVE}`.execute(this.#db),
    )
  }

  /** The active account with this id. */
  async byId(userId: string): Promise<Account | undefined> {
    return first(
      await sql<AccountRow>`
        select ${COLUMNS} from users join tenants on tenants.id = users.tenant_id
        where users.id = ${userId} and ${ACTIVE}`.execute(this.#db),
    )
  }

  /**
   * Who has this account now that its password was verified, and from which moment on that counts; undefined when the
   * password, or whether he may sign in, has changed meanwhile. Whatever changes any of it later bears a later moment,
   * because it waits for this; whatever is about to change it is waited for.
   */
  async confirm({
    id,
    passwordHash,
  }: Pick<Account, 'id' | 'passwordHash'>): Promise<ConfirmedUser | undefined> {
    const { rows } = await sql<User & Moment>`
      with account as materialized (
        select users.id, tenants.slug as tenant, users.email, users.role
        from users join tenants on tenants.id = users.tenant_id
        where users.id = ${id} and users.password_hash = ${passwordHash} and ${ACTIVE}
        for share
      ), now as materialized (select clock_timestamp() as at from account)
      select account.*, ${MOMENT} from account, now`.execute(this.#db)
    const [row] = rows
    if (row === undefined) return undefined
    const { at, atMs, ...user } = row
    return { ...user, since: { at, atMs } }
  }

  /** Stores a hash of the same password in a newer way; not when the password was changed meanwhile. */
  async upgradeHash(userId: string, from: string, to: string): Promise<boolean> {
    const { numAffectedRows } = await sql`
      update users set password_hash = ${to} where id = ${userId} and password_hash = ${from}`.execute(
      this.#db,
    )
    return numAffectedRows === 1n
  }

  /**
   * Changes a password, ends all token families but `exceptFamilyId`, for which the password was given now, and every
   * way to reset it. Answers which families, and from when on sign-ins count; undefined when the password is no longer
   * the one that was verified.
   */
  async changePassword(
    userId: string,
    { from, to, exceptFamilyId }: { from: string; to: string; exceptFamilyId?: string | undefined },
  ): Promise<{ readonly ended: readonly string[]; readonly since: Moment } | undefined> {
    const { rows } = await sql<Moment & { ended: string[] }>`
      with changed as (
        update users set password_hash = ${to}, password_changed_at = clock_timestamp(),
          sessions_valid_after = clock_timestamp()
        where id = ${userId} and password_hash = ${from} and status = 'active'
        returning id, sessions_valid_after as at
      ), resets as (
        delete from password_resets using changed where password_resets.user_id = changed.id
      ), kept as (
        update refresh_families set authenticated_at = changed.at from changed
        where refresh_families.user_id = changed.id and refresh_families.id = ${exceptFamilyId ?? null}::uuid
      ), families as (
        update refresh_families set revoked_at = clock_timestamp(), revoked_why = 'password'
        from changed
        where refresh_families.user_id = changed.id and revoked_at is null
          and refresh_families.id is distinct from ${exceptFamilyId ?? null}::uuid
        returning refresh_families.id
      )
      select ${ENDED}, ${MOMENT} from changed`.execute(this.#db)
    const [row] = rows
    return row && { ended: row.ended, since: { at: row.at, atMs: row.atMs } }
  }

  /**
   * Stores a registration, also of an account that there is already: it takes as long, and nothing can come of it. Nobody
   * but the mailbox learns which it was.
   */
  async register({
    tenant,
    email,
    passwordHash,
    tokenDigest,
    ttlMs,
  }: Registration): Promise<RegistrationOutcome> {
    const { rows } = await sql<{ known: boolean }>`
      with swept as (
        delete from registrations where token_digest in (
          select token_digest from registrations where expires_at < clock_timestamp()
          order by expires_at limit ${sql.lit(SWEPT)} for update skip locked
        )
      ), tenant as (
        select id, exists (select from users where tenant_id = tenants.id and email = ${email}) as known
        from tenants where slug = ${tenant} and status = 'active'
      ), stored as (
        insert into registrations (token_digest, tenant_id, email, password_hash, expires_at)
        select ${tokenDigest}, id, ${email}, ${passwordHash}, clock_timestamp() + ${interval(ttlMs)}
        from tenant
      )
      select known from tenant`.execute(this.#db)
    const [found] = rows
    if (found === undefined) return 'no-tenant'
    return found.known ? 'known' : 'stored'
  }

  /** Makes an account of a registration, once. Undefined: there is none, it is too late, or the account exists. */
  async completeRegistration(tokenDigest: Buffer): Promise<User | undefined> {
    const { rows } = await sql<User>`
      with taken as (
        delete from registrations where token_digest = ${tokenDigest}
        returning tenant_id, email, password_hash, expires_at
      ), created as (
        insert into users (tenant_id, email, password_hash, password_changed_at)
        select tenant_id, email, password_hash, clock_timestamp() from taken
        where expires_at > clock_timestamp()
          and exists (select from tenants where id = taken.tenant_id and status = 'active')
        on conflict (tenant_id, email) do nothing
        returning id, tenant_id, email, role
      )
      select created.id, tenants.slug as tenant, created.email, created.role
      from created join tenants on tenants.id = created.tenant_id`.execute(this.#db)
    return rows[0]
  }

  /**
   * Stores that the password may be reset with a token; false when there is no such account, for which a token of nobody
   * is stored, because that takes as long. Earlier tokens are over.
   */
  async startReset({ tenant, email }: AccountName, tokenDigest: Buffer, ttlMs: number): Promise<boolean> {
    const { rows } = await sql`
      with swept as (
        delete from password_resets where token_digest in (
          select token_digest from password_resets where expires_at < clock_timestamp()
          order by expires_at limit ${sql.lit(SWEPT)} for update skip locked
        )
      ), account as (
        select users.id from users join tenants on tenants.id = users.tenant_id
        where tenants.slug = ${tenant} and users.email = ${email} and ${ACTIVE}
      ), earlier as (
        delete from password_resets using account where password_resets.user_id = account.id
      ), stored as (
        insert into password_resets (token_digest, user_id, expires_at)
        values (${tokenDigest}, (select id from account), clock_timestamp() + ${interval(ttlMs)})
      )
      select id from account`.execute(this.#db)
    return rows.length === 1
  }

  /** Whose password may be reset with this token; it stays good. */
  async resettable(tokenDigest: Buffer): Promise<User | undefined> {
    return first(
      await sql<AccountRow>`
        select ${COLUMNS} from password_resets
        join users on users.id = password_resets.user_id
        join tenants on tenants.id = users.tenant_id
        where token_digest = ${tokenDigest} and expires_at > clock_timestamp() and ${ACTIVE}`.execute(
        this.#db,
      ),
    )
  }

  /**
   * Sets a new password, once, and ends every token family of the user and every other way to reset it. Answers whose,
   * and which families; undefined: the token is over.
   */
  async completeReset(
    tokenDigest: Buffer,
    passwordHash: string,
  ): Promise<{ readonly user: User; readonly ended: readonly string[] } | undefined> {
    const { rows } = await sql<User & { ended: string[] }>`
      with taken as (
        delete from password_resets where token_digest = ${tokenDigest} returning user_id, expires_at
      ), changed as (
        update users set password_hash = ${passwordHash}, password_changed_at = clock_timestamp(),
          sessions_valid_after = clock_timestamp()
        from taken, tenants
        where users.id = taken.user_id and taken.expires_at > clock_timestamp()
          and tenants.id = users.tenant_id and ${ACTIVE}
        returning users.id, tenants.slug as tenant, users.email, users.role
      ), others as (
        delete from password_resets using changed
        where password_resets.user_id = changed.id and token_digest <> ${tokenDigest}
      ), families as (
        update refresh_families set revoked_at = clock_timestamp(), revoked_why = 'password'
        from changed where refresh_families.user_id = changed.id and revoked_at is null
        returning refresh_families.id
      )
      select changed.*, ${ENDED} from changed`.execute(this.#db)
    const [row] = rows
    if (row === undefined) return undefined
    const { ended, ...user } = row
    return { user, ended }
  }

  /** From when on sign-ins count, of users and of tenants. */
  async cutoffs(from: Parameters<CutoffSource['cutoffs']>[0], limit: number): Promise<readonly Cutoff[]> {
    const after = 'after' in from ? from.after : { at: null, holder: '' }
    const sinceMs = 'sinceMs' in from ? (from.sinceMs ?? null) : null
    const { rows } = await sql<Cutoff>`
      with first as (
        select coalesce(${after.at}::timestamptz, to_timestamp(${sinceMs}::double precision / 1000),
          clock_timestamp() - interval ${LONGEST_SESSION}) as at
      ), changes as (
        select 'user:' || id as holder, sessions_valid_after as at
        from users where sessions_valid_after >= (select at from first)
        union all
        select 'tenant:' || slug, sessions_valid_after
        from tenants where sessions_valid_after >= (select at from first)
        union all
        select holder, at from ended_sign_ins where at >= (select at from first)
      )
      select holder, ${MOMENT}
      from changes where (at, holder) > ((select at from first), ${after.holder}::text)
      order by changes.at, holder limit ${sql.lit(limit)}`.execute(this.#db)
    return rows
  }

  /**
   * Makes an administrator: a new account, or that of somebody who exists, whose password changes and whose sessions,
   * tokens and ways to reset it end. Undefined when there is no such tenant.
   */
  async makeAdministrator({ tenant, email }: AccountName, passwordHash: string): Promise<User | undefined> {
    const { rows } = await sql<User>`
      with made as (
        insert into users (tenant_id, email, role, password_hash, password_changed_at, sessions_valid_after)
        select id, ${email}, 'admin', ${passwordHash}, clock_timestamp(), clock_timestamp()
        from tenants where slug = ${tenant} and status = 'active'
        on conflict (tenant_id, email) do update set role = 'admin', status = 'active',
          password_hash = excluded.password_hash, password_changed_at = excluded.password_changed_at,
          sessions_valid_after = excluded.sessions_valid_after
        returning id, email, role
      ), resets as (
        delete from password_resets using made where password_resets.user_id = made.id
      ), families as (
        update refresh_families set revoked_at = clock_timestamp(), revoked_why = 'password'
        from made where refresh_families.user_id = made.id and revoked_at is null
      )
      select made.id, ${tenant}::text as tenant, made.email, made.role from made`.execute(this.#db)
    return rows[0]
  }
}

interface AccountRow extends User {
  readonly passwordHash: string | null
}

const COLUMNS = sql`users.id, tenants.slug as tenant, users.email, users.role, users.password_hash as "passwordHash"`
const MOMENT = sql`at::text as at, extract(epoch from at)::double precision * 1000 as "atMs"`
const ENDED = sql`array(select id::text from families) as ended`
const ACTIVE = sql`users.status = 'active' and tenants.status = 'active'`

function interval(ms: number) {
  return sql`make_interval(secs => ${ms / 1000}::double precision)`
}

function first({ rows: [row] }: { readonly rows: readonly AccountRow[] }): Account | undefined {
  return row && { ...row, passwordHash: row.passwordHash ?? undefined }
}
