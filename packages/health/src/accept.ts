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
// More alternatives than any client sends; the rest is not looked at.
const maxAlternatives = 16

/**
 * The form that `Accept` prefers (RFC 9110 section 12.5.1): the highest q, the first among equals. JSON when the header
 * is missing or names nothing we have: a probe must never be refused over a media type.
 */
export function formatOf(accept: string | undefined): Format {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json'
  let best: Format = 'json'
  let bestQuality = 0
  for (const alternative of accept.split(',', maxAlternatives)) {
    const [type = '', ...parameters] = alternative.split(';', maxAlternatives)
    const format = formatOfType.get(type.trim().toLowerCase())
    if (format === undefined) continue
    const quality = qualityOf(parameters)
    if (quality > bestQuality) {
      best = format
      bestQuality = quality
    }
  }
  return best
}

function qualityOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name = '', value = ''] = parameter.split('=', 2)
    if (name.trim().toLowerCase() !== 'q') continue
    const quality = Number(value.trim())
    return quality >= 0 && quality <= 1 ? quality : 0
  }
  return 1
}
