// JSON for a column of the type `jsonb` that takes at most 16 KiB of text, whatever it is made of: no secrets, nothing
// that PostgreSQL refuses, and never too large.

import { scrub } from '@holdfast/logging'

/** What the checks of the tables allow, counted as PostgreSQL counts: of the text that it makes of the value. */
const MAX_BYTES = 16_384

/**
 * The text of a value, null for undefined. What looks like a secret is masked, as in the log; of what is too large only
 * is said how large it is. Never throws.
 */
export function storableJson(value: unknown): string | null {
  const scrubbed = scrub(value)
  if (scrubbed === undefined) return null
  const text = JSON.stringify(acceptable(scrubbed))
  const bytes = shownBytes(text)
  return bytes <= MAX_BYTES ? text : JSON.stringify({ too_large: true, bytes })
}

/** A text as PostgreSQL takes it, at most so long: no NUL, and no half of a character. */
export function storableText(text: string, maxLength: number): string {
  return text.slice(0, maxLength).toWellFormed().replaceAll('\0', '\uFFFD')
}

/** Plain data that `jsonb` takes. It has been scrubbed, so it is neither deep nor large. */
function acceptable(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return storableText(value, value.length)
    case 'number':
      // As `jsonb`, 1e300 is a text of 300 digits.
      return String(value).includes('e') ? String(value) : value
    case 'object':
      return value === null ? null : acceptableObject(value)
    default:
      return value
  }
}

function acceptableObject(value: object): unknown {
  if (Array.isArray(value)) return value.map(acceptable)
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [storableText(name, name.length), acceptable(member)]),
  )
}

/** At least as many bytes as the text of the `jsonb` has, which sets a space behind each colon and comma. */
function shownBytes(json: string): number {
  return Buffer.byteLength(json) + (json.match(/[:,]/g)?.length ?? 0)
}
