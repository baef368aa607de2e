// The history of themes and the events of their previews in PostgreSQL.

import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { ApiEventIdReusedError, ApiTenantUnknownError, ApiThemeVersionUnknownError } from '../../errors.ts'

/** Larger documents, which only plain SQL can have written, are listed without their content. */
const MAX_DOCUMENT_BYTES = 65_536

/** One version of a theme as the database holds it; the document is not validated. */
export interface StoredVersion {
  readonly version: bigint
  readonly savedAt: Date
  readonly document: unknown
}

/** What a client tells about a preview. */
export interface PreviewEvent {
  /** Chosen by the client, unique within the tenant. */
  readonly eventId: string
  readonly themeVersion: bigint
  readonly viewport: 'desktop' | 'tablet' | 'mobile'
}

/** A preview as it is stored. */
export interface StoredPreviewEvent extends PreviewEvent {
  readonly id: string
  readonly receivedAt: Date
}

/** Reads the history and appends events. Errors that are not mentioned are the driver's or the pool's. */
export class ThemeHistoryRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /**
   * The versions of the theme of an active tenant that are below `before`, the newest first, at most `limit`.
   * One statement.
   * @throws {ApiTenantUnknownError}
   */
  async versions(slug: string, before: bigint, limit: number): Promise<StoredVersion[]> {
    const rows = await this.#db
      .selectFrom('tenants')
      .leftJoinLateral(
        (eb) =>
          eb
            .selectFrom('theme_versions')
            .whereRef('theme_versions.tenant_id', '=', 'tenants.id')
            .where('version', '<', String(before))
            .select([
              'version',
              'saved_at',
              sql<unknown>`case when octet_length(theme::text) <= ${sql.lit(MAX_DOCUMENT_BYTES)} then theme end`.as(
                'document',
              ),
            ])
            .orderBy('version', 'desc')
            .limit(limit)
            .as('page'),
        (join) => join.onTrue(),
      )
      .where('tenants.slug', '=', slug)
      .where('tenants.status', '=', 'active')
      .select(['page.version', 'page.saved_at', 'page.document'])
      .orderBy('page.version', 'desc')
      .execute()
    if (rows.length === 0) throw new ApiTenantUnknownError()
    return rows.flatMap(({ version, saved_at, document }) =>
      version === null || saved_at === null
        ? []
        : [{ version: BigInt(version), savedAt: saved_at, document }],
    )
  }

  /**
   * Stores an event, once: the same event again is answered with what is stored. One statement; a second one
   * only when the first stored nothing.
   * @throws {ApiTenantUnknownError}
   * @throws {ApiThemeVersionUnknownError} when the tenant's theme never had that version.
   * @throws {ApiEventIdReusedError} when another event has this id.
   */
  async append(slug: string, event: PreviewEvent): Promise<StoredPreviewEvent> {
    const themeVersion = String(event.themeVersion)
    const stored = await this.#db
      .insertInto('theme_preview_events')
      .columns(['tenant_id', 'event_id', 'theme_version', 'viewport'])
      .expression((eb) =>
        eb
          .selectFrom('tenants')
          .innerJoin('theme_versions', 'theme_versions.tenant_id', 'tenants.id')
          .where('tenants.slug', '=', slug)
          .where('tenants.status', '=', 'active')
          .where('theme_versions.version', '=', themeVersion)
          .select([
            'tenants.id',
            sql<string>`${event.eventId}::uuid`.as('event_id'),
            'theme_versions.version',
            sql<PreviewEvent['viewport']>`${event.viewport}::text`.as('viewport'),
          ]),
      )
      // Waits for whoever stores the same event at this moment, and then leaves it to him.
      .onConflict((conflict) => conflict.columns(['tenant_id', 'event_id']).doNothing())
      .returning(['id', 'received_at'])
      .executeTakeFirst()
    if (stored !== undefined) return { ...event, id: stored.id, receivedAt: stored.received_at }
    return this.#storedBefore(slug, event)
  }

  /** A statement of its own, because it has to see what was committed while the insert waited. */
  async #storedBefore(slug: string, event: PreviewEvent): Promise<StoredPreviewEvent> {
    const found = await this.#db
      .selectFrom('tenants')
      .leftJoin('theme_preview_events as event', (join) =>
        join.onRef('event.tenant_id', '=', 'tenants.id').on('event.event_id', '=', event.eventId),
      )
      .where('tenants.slug', '=', slug)
      .where('tenants.status', '=', 'active')
      .select(['event.id', 'event.theme_version', 'event.viewport', 'event.received_at'])
      .executeTakeFirst()
    if (found === undefined) throw new ApiTenantUnknownError()
    const { id, theme_version, viewport, received_at } = found
    if (id === null || received_at === null) throw new ApiThemeVersionUnknownError(String(event.themeVersion))
    if (theme_version !== String(event.themeVersion) || viewport !== event.viewport) {
      throw new ApiEventIdReusedError()
    }
    return { ...event, id, receivedAt: received_at }
  }
}
