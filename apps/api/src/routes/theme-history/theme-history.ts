// What the two routes answer, and how it is made of what is stored.

import { type Page, pageBy } from '../../cursor.ts'
import { completeTheme, parseThemeDocument, type Theme } from '../public-theme/theme.ts'
import type { StoredPreviewEvent, StoredVersion } from './theme-history-repository.ts'

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

/** What `GET /:tenant/api/theme/history` answers: the newest first. */
export function historyPage(versions: readonly StoredVersion[], limit: number): Page<ThemeHistoryItem> {
  return pageBy(versions, limit, historyItem, ({ version }) => String(version))
}

function historyItem({ version, savedAt, document }: StoredVersion): ThemeHistoryItem {
  const checked = parseThemeDocument(document)
  return {
    version: String(version),
    saved_at: savedAt.toISOString(),
    theme: 'document' in checked ? completeTheme(checked.document) : null,
  }
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
