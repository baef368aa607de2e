// What the two routes answer, and how it is made of what is stored.

import { bigintOf, MAX_BIGINT } from '../../db/bigint.ts'
import { ApiCursorInvalidError } from '../../errors.ts'
import { completeTheme, parseThemeDocument, type Theme } from '../public-theme/theme.ts'
import type { StoredPreviewEvent, StoredVersion } from './theme-history-repository.ts'

/** What `GET /:tenant/api/theme/history` answers. */
export interface ThemeHistory {
  /** The newest first. */
  readonly items: readonly ThemeHistoryItem[]
  /** For the next page; null on the last one. */
  readonly next_cursor: string | null
}

/** One version of a theme. */
export interface ThemeHistoryItem {
  /** Text, because it may exceed what JavaScript counts exactly. */
  readonly version: string
  /** RFC 3339. */
  readonly saved_at: string
  /** Null when what was stored can not be served, and was never. */
  readonly theme: Theme | null
}

/** What `POST /:tenant/api/theme/preview-events` answers. */
export interface AcceptedPreviewEvent {
  readonly id: string
  readonly event_id: string
  readonly theme_version: string
  readonly viewport: StoredPreviewEvent['viewport']
  /** When the event arrived for the first time; RFC 3339. */
  readonly received_at: string
}

/** A page out of one row more than it may hold, which tells whether there is another page. */
export function historyPage(versions: readonly StoredVersion[], limit: number): ThemeHistory {
  const items = versions.slice(0, limit).map(({ version, savedAt, document }) => {
    const checked = parseThemeDocument(document)
    return {
      version: String(version),
      saved_at: savedAt.toISOString(),
      theme: 'document' in checked ? completeTheme(checked.document) : null,
    }
  })
  return { items, next_cursor: versions.length > limit ? (items.at(-1)?.version ?? null) : null }
}

/** The version below which the page of this cursor begins. */
export function versionOfCursor(cursor: string | undefined): bigint {
  if (cursor === undefined) return MAX_BIGINT
  return bigintOf(cursor) ?? refuseCursor()
}

/** The answer to an event that is stored. */
export function acceptedEvent(event: StoredPreviewEvent): AcceptedPreviewEvent {
  return {
    id: event.id,
    event_id: event.eventId,
    theme_version: String(event.themeVersion),
    viewport: event.viewport,
    received_at: event.receivedAt.toISOString(),
  }
}

function refuseCursor(): never {
  throw new ApiCursorInvalidError()
}
