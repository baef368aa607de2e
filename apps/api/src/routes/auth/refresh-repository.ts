// Refresh tokens in PostgreSQL (RFC 9700, 4.14.2): each is used once and replaced, and a token that is used again
// after that ends its whole family.
//
// Guarantees: of any number of uses of one token at once exactly one makes a successor, in one statement; the others,
// and whoever did not hear the answer, get that same successor for ten seconds, as long as nobody has used it. A
// family that is revoked stays so: its tokens ask it at every use; and so does one whose password was given before
// `sessions_valid_after` of its user or tenant, whichever of the two was written first.

import { randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import type { User } from '../../db/user.ts'
import type { ConfirmedUser } from './account-repository.ts'
import { mintToken, openSuccessor, sealSuccessor, tokenDigest } from './opaque-token.ts'

/** A family of tokens: one sign-in of one client. */
export interface TokenFamily {
  readonly id: string
  readonly client: string | undefined
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly expiresAt: Date
}

/** A token that was given out, and for whom. */
export interface Refreshed {
  readonly token: string
  readonly familyId: string
  readonly user: User
  /** When the password was given. */
  readonly authenticatedAt: Date
}

/** What became of the use of a token. */
export type RefreshOutcome =
  | ({ readonly kind: 'rotated' | 'replayed' } & Refreshed)
  /** Not a token, or one that is over. */
  | { readonly kind: 'refused' }
  /** Two have it. The family is revoked now. */
  | { readonly kind: 'reused'; readonly familyId: string; readonly userId: string }

/** Why a family ends before its time. */
export type RevocationReason = 'logout' | 'revoked' | 'reuse' | 'password' | 'evicted'

/** How long a token may lie unused. */
const TOKEN_TTL = sql.lit('14 days')
/** How long a client stays signed in, however often it refreshes. */
const FAMILY_TTL = sql.lit('30 days')
/** For clients that did not hear the answer, or asked twice. */
const REPLAY_GRACE = sql.lit('10 seconds')
/** Older ones are forgotten, and then simply unknown. */
const USED_TOKENS_KEPT = sql.lit('1 day')
/** For whoever wants to know what became of a sign-in. */
const REVOKED_KEPT = sql.lit('1 day')
/** Sign-ins of one user at a time; the oldest leaves. */
const MAX_FAMILIES = 20

/** Gives out, rotates and revokes refresh tokens. Rejects as the driver or the pool does. */
export class RefreshRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /** A new family with its first token, which counts from the moment on from which its user was confirmed. */
  async begin({ since, ...user }: ConfirmedUser, client: string | undefined): Promise<Refreshed> {
    const token = mintToken('refresh')
    const familyId = randomUUID()
    const { rows } = await sql<{ authenticatedAt: Date }>`
      with over as (
        delete from refresh_families where user_id = ${user.id}
          and (expires_at < clock_timestamp() or revoked_at < clock_timestamp() - interval ${REVOKED_KEPT})
      ), evicted as (
        update refresh_families set revoked_at = clock_timestamp(), revoked_why = 'evicted'
        where id in (
          select id from refresh_families
          where user_id = ${user.id} and revoked_at is null and expires_at > clock_timestamp()
          order by last_used_at desc offset ${sql.lit(MAX_FAMILIES - 1)}
        )
      ), family as (
        insert into refresh_families (id, user_id, client, authenticated_at, expires_at)
        values (${familyId}, ${user.id}, ${client ?? null}, ${since.at}::timestamptz,
          clock_timestamp() + interval ${FAMILY_TTL})
        returning id, authenticated_at
      ), token as (
        insert into refresh_tokens (token_digest, family_id, expires_at)
        select ${tokenDigest(token)}::bytea, id, clock_timestamp() + interval ${TOKEN_TTL} from family
      )
      select authenticated_at as "authenticatedAt" from family`.execute(this.#db)
    return { token, familyId, user, authenticatedAt: rows[0]?.authenticatedAt ?? new Date(0) }
  }

  /** Uses a token. */
  async rotate(token: string): Promise<RefreshOutcome> {
    const successor = mintToken('refresh')
    const digest = tokenDigest(token)
    // The row lock decides: whoever waited for it finds used_at set.
    const { rows } = await sql<HolderRow>`
      with claimed as (
        update refresh_tokens set used_at = clock_timestamp(), sealed_successor = ${sealSuccessor(token, successor)}
        from refresh_families as family, users, tenants
        where token_digest = ${digest} and used_at is null and refresh_tokens.expires_at > clock_timestamp()
          and family.id = refresh_tokens.family_id
          and users.id = family.user_id and tenants.id = users.tenant_id and ${STANDING}
        returning ${HOLDER}, family.expires_at as family_expires_at
      ), minted as (
        insert into refresh_tokens (token_digest, family_id, parent_digest, expires_at)
        select ${tokenDigest(successor)}::bytea, "familyId", ${digest}::bytea,
          least(family_expires_at, clock_timestamp() + interval ${TOKEN_TTL})
        from claimed
      ), touched as (
        update refresh_families set last_used_at = clock_timestamp()
        from claimed where refresh_families.id = "familyId"
      ), forgotten as (
        delete from refresh_tokens using claimed
        where family_id = "familyId" and used_at < clock_timestamp() - interval ${USED_TOKENS_KEPT}
      )
      select * from claimed`.execute(this.#db)
    const [holder] = rows
    if (holder !== undefined) return { kind: 'rotated', ...refreshed(holder, successor) }
    return this.#usedBefore(token, digest)
  }

  /** The families of a user that are not over, the one used last first. */
  async families(userId: string): Promise<TokenFamily[]> {
    const { rows } = await sql<Omit<TokenFamily, 'client'> & { client: string | null }>`
      select family.id, client, family.created_at as "createdAt", last_used_at as "lastUsedAt",
        expires_at as "expiresAt"
      from refresh_families as family
      join users on users.id = family.user_id join tenants on tenants.id = users.tenant_id
      where family.user_id = ${userId} and ${STANDING}
      order by last_used_at desc limit ${sql.lit(MAX_FAMILIES)}`.execute(this.#db)
    return rows.map((row) => ({ ...row, client: row.client ?? undefined }))
  }

  /** Ends one family of a user; false when he has none such. */
  async revoke(userId: string, familyId: string, why: RevocationReason): Promise<boolean> {
    const { numAffectedRows } = await sql`
      update refresh_families as family set revoked_at = clock_timestamp(), revoked_why = ${why}
      where id = ${familyId} and user_id = ${userId} and ${LIVE_FAMILY}`.execute(this.#db)
    return numAffectedRows === 1n
  }

  /** Ends all families of a user, and notes that nothing from before is good. Answers their ids. */
  async revokeAll(userId: string): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      with noted as (
        update users set sessions_valid_after = clock_timestamp() where id = ${userId}
      )
      update refresh_families as family set revoked_at = clock_timestamp(), revoked_why = 'revoked'
      where user_id = ${userId} and revoked_at is null
      returning id`.execute(this.#db)
    return rows.map(({ id }) => id)
  }

  /** Which family a token is of, whatever has become of it. */
  async familyOf(token: string): Promise<{ familyId: string; userId: string } | undefined> {
    const { rows } = await sql<{ familyId: string; userId: string }>`
      select family.id as "familyId", family.user_id as "userId"
      from refresh_tokens join refresh_families as family on family.id = refresh_tokens.family_id
      where token_digest = ${tokenDigest(token)}`.execute(this.#db)
    return rows[0]
  }

  /** Those of these families that are good, with who they belong to as he is now. In any order. */
  async standing(familyIds: readonly string[]): Promise<{ familyId: string; user: User }[]> {
    const { rows } = await sql<HolderRow>`
      select ${HOLDER} from refresh_families as family
      join users on users.id = family.user_id join tenants on tenants.id = users.tenant_id
      where family.id = any(${familyIds}::uuid[]) and ${STANDING}`.execute(this.#db)
    return rows.map((row) => ({ familyId: row.familyId, user: userOf(row) }))
  }

  /** Why a token could not be used: a statement of its own, that sees what was committed while the first waited. */
  async #usedBefore(token: string, digest: Buffer): Promise<RefreshOutcome> {
    const { rows } = await sql<HolderRow & { sealed: Buffer | null; replayable: boolean; live: boolean }>`
      select ${HOLDER}, refresh_tokens.sealed_successor as sealed,
        ${STANDING} as live,
        coalesce(
          refresh_tokens.used_at > clock_timestamp() - interval ${REPLAY_GRACE} and successor.used_at is null, false
        ) as replayable
      from refresh_tokens
      join refresh_families as family on family.id = refresh_tokens.family_id
      join users on users.id = family.user_id join tenants on tenants.id = users.tenant_id
      left join refresh_tokens as successor on successor.parent_digest = refresh_tokens.token_digest
      where refresh_tokens.token_digest = ${digest}`.execute(this.#db)
    const [found] = rows
    if (found === undefined || found.sealed === null || !found.live) return { kind: 'refused' }
    if (found.replayable) return { kind: 'replayed', ...refreshed(found, openSuccessor(token, found.sealed)) }
    const { familyId, id: userId } = found
    await this.revoke(userId, familyId, 'reuse')
    return { kind: 'reused', familyId, userId }
  }
}

interface HolderRow extends User {
  readonly familyId: string
  readonly authenticatedAt: Date
}

const LIVE_FAMILY = sql`(family.revoked_at is null and family.expires_at > clock_timestamp())`
const STANDING = sql`(${LIVE_FAMILY} and users.status = 'active' and tenants.status = 'active'
  and family.authenticated_at >= greatest(users.sessions_valid_after, tenants.sessions_valid_after, '-infinity'))`
const HOLDER = sql`family.id as "familyId", family.authenticated_at as "authenticatedAt",
  users.id, tenants.slug as tenant, users.email, users.role`

function refreshed(row: HolderRow, token: string): Refreshed {
  return { token, familyId: row.familyId, user: userOf(row), authenticatedAt: row.authenticatedAt }
}

function userOf({ id, tenant, email, role }: HolderRow): User {
  return { id, tenant, email, role }
}
