// What an entry of the audit log says, and how it is written so that the table takes it, whoever has made it up.

import { maskText } from '@holdfast/logging'
import { storableJson, storableText } from '../db/storable-json.ts'

/** Who did what, and what it changed. */
export interface AuditEntry {
  /** The id of a user, or a word for who is none: `operator token`, `command line`, `anonymous`, `service`. */
  readonly actor: string
  /** Slug of the tenant that it was done for, or to. */
  readonly tenant?: string | undefined
  /** `limits.replace`: at most 100 of `a-z 0-9 _ . -`, a letter first. What else is in it becomes a hyphen. */
  readonly action: string
  /** What it was done to. */
  readonly subject?: string | undefined
  /** How it was before. Secrets are masked, and of more than 16 KiB only the size is kept; so they are in `after`. */
  readonly before?: unknown
  /** How it is now. */
  readonly after?: unknown
  /** Why, as whoever did it has said. */
  readonly reason?: string | undefined
}

/** A row of `audit_log`, but for its id. */
export interface AuditRow {
  /** RFC 3339. */
  readonly at: string
  readonly actor: string
  readonly tenant: string | null
  readonly action: string
  readonly subject: string | null
  /** JSON. */
  readonly before: string | null
  /** JSON. */
  readonly after: string | null
  readonly reason: string | null
  readonly correlationId: string | null
}

const MAX_ACTOR = 200
const MAX_TENANT = 63
const MAX_ACTION = 100
const MAX_TEXT = 1000
const MAX_CORRELATION_ID = 128

/** The row of an entry. Whatever is in it, the table takes it. */
export function auditRow(entry: AuditEntry, correlationId: string | undefined, atMs: number): AuditRow {
  const { actor, tenant, action, subject, before, after, reason } = entry
  return {
    at: new Date(atMs).toISOString(),
    actor: textOf(actor, MAX_ACTOR) || 'unknown',
    tenant: tenant === undefined ? null : textOf(tenant, MAX_TENANT),
    action: actionOf(action),
    subject: subject === undefined ? null : textOf(subject, MAX_TEXT),
    before: storableJson(before),
    after: storableJson(after),
    reason: reason === undefined ? null : textOf(reason, MAX_TEXT),
    correlationId: correlationId === undefined ? null : textOf(correlationId, MAX_CORRELATION_ID),
  }
}

function textOf(text: string, maxLength: number): string {
  return storableText(maskText(text, maxLength), maxLength)
}

function actionOf(action: string): string {
  const plain = action.toLowerCase().replaceAll(/[^a-z0-9_.-]/g, '-')
  return (/^[a-z]/.test(plain) ? plain : `x${plain}`).slice(0, MAX_ACTION)
}
