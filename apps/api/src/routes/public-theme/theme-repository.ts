// Themes in PostgreSQL. Only the refresher and the command line reach this file; the route never does.

import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'

/** A theme as the database holds it; the document is not validated yet. */
export interface StoredTheme {
  readonly slug: string
  /** Grows with every change of this theme. */
  readonly version: bigint
  readonly document: unknown
}

/** One line of the list of tenants. */
export interface TenantListing {
  readonly slug: string
  readonly name: string
  readonly status: 'active' | 'suspended'
  /** Undefined when the tenant has no theme of its own. */
  readonly version: bigint | undefined
  readonly updatedAt: Date | undefined
}

/** Reads and writes themes. Every method is one statement, or one transaction; errors are pg's. */
export class ThemeRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /**
   * A short text that differs whenever {@link versions} would: any theme or tenant inserted, changed, suspended,
   * renamed or deleted, whatever the order in which transactions took their versions and committed them. Two
   * different states give the same text with a probability of 2^-64. Costs one index-only scan and one row.
   */
  async fingerprint(): Promise<string> {
    const { fingerprint } = await this.#db
      .selectFrom('themes')
      .innerJoin('tenants', 'tenants.slug', 'themes.slug')
      .where('tenants.status', '=', 'active')
      .select(
        sql<string>`concat(count(*), ':', bit_xor(hashtextextended(themes.slug, themes.version)))`.as(
          'fingerprint',
        ),
      )
      .executeTakeFirstOrThrow()
    return fingerprint
  }

  /** The version of the theme of every active tenant, at most `limit` of them in the order of their slugs. */
  async versions(limit: number): Promise<Map<string, bigint>> {
    const rows = await this.#db
      .selectFrom('themes')
      .innerJoin('tenants', 'tenants.slug', 'themes.slug')
      .where('tenants.status', '=', 'active')
      .select(['themes.slug', 'themes.version'])
      .orderBy('themes.slug')
      .limit(limit)
      .execute()
    return new Map(rows.map(({ slug, version }) => [slug, BigInt(version)]))
  }

  /** The themes of the active ones among these tenants, in one statement. */
  async themesOf(slugs: readonly string[]): Promise<StoredTheme[]> {
    const rows = await this.#db
      .selectFrom('themes')
      .innerJoin('tenants', 'tenants.slug', 'themes.slug')
      .where('tenants.status', '=', 'active')
      .where('themes.slug', '=', sql<string>`any(${slugs})`)
      .select(['themes.slug', 'themes.version', 'themes.theme'])
      .execute()
    return rows.map(({ slug, version, theme }) => ({ slug, version: BigInt(version), document: theme }))
  }

  /** The theme of one tenant, suspended ones included. */
  async find(slug: string): Promise<StoredTheme | undefined> {
    const row = await this.#db
      .selectFrom('themes')
      .where('slug', '=', slug)
      .select(['slug', 'version', 'theme'])
      .executeTakeFirst()
    return row && { slug: row.slug, version: BigInt(row.version), document: row.theme }
  }

  /** Writes the theme of a tenant; answers its new version, or undefined when there is no such tenant. */
  async save(slug: string, document: object): Promise<bigint | undefined> {
    const row = await this.#db
      .insertInto('themes')
      .columns(['slug', 'theme'])
      .expression((eb) =>
        eb
          .selectFrom('tenants')
          .where('slug', '=', slug)
          .select(['slug', sql<string>`${JSON.stringify(document)}::jsonb`.as('theme')]),
      )
      .onConflict((conflict) =>
        conflict.column('slug').doUpdateSet({ theme: (eb) => eb.ref('excluded.theme') }),
      )
      .returning('version')
      .executeTakeFirst()
    return row && BigInt(row.version)
  }

  /** Every tenant, at most `limit` of them in the order of their slugs. */
  async list(limit: number): Promise<TenantListing[]> {
    const rows = await this.#db
      .selectFrom('tenants')
      .leftJoin('themes', 'themes.slug', 'tenants.slug')
      .select(['tenants.slug', 'tenants.name', 'tenants.status', 'themes.version', 'themes.updated_at'])
      .orderBy('tenants.slug')
      .limit(limit)
      .execute()
    return rows.map(({ slug, name, status, version, updated_at }) => ({
      slug,
      name,
      status,
      version: version === null ? undefined : BigInt(version),
      updatedAt: updated_at ?? undefined,
    }))
  }
}
