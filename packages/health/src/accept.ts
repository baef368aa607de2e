import { preferencesOf } from '@holdfast/footing'

/** The forms an answer can take: our JSON, the IETF draft's `application/health+json`, and lines of text. */
export type Format = 'json' | 'health+json' | 'text'

/** What is asked for may be called `constructor`: no object. */
const formatOfType: ReadonlyMap<string, Format> = new Map([
  ['application/json', 'json'],
  ['application/*', 'json'],
  ['*/*', 'json'],
  ['application/health+json', 'health+json'],
  ['text/plain', 'text'],
  ['text/*', 'text'],
])

/**
 * The form that `Accept` prefers (RFC 9110 section 12.5.1): the highest q, the first among equals. JSON when the header
 * is missing or names nothing we have: a probe must never be refused over a media type.
 */
export function formatOf(accept: string | undefined): Format {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json'
  let best: Format = 'json'
  let bestQuality = 0
  for (const { name, quality } of preferencesOf(accept)) {
    const format = formatOfType.get(name)
    if (format === undefined) continue
    if (quality > bestQuality) {
      best = format
      bestQuality = quality
    }
  }
  return best
}
