/** The two formats of a scrape. */
export type Format = 'text' | 'openmetrics'

/** What is sent as `Content-Type`. */
export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** What is asked for may be called `constructor`: no object. */
const FORMATS: ReadonlyMap<string, Format> = new Map([
  ['application/openmetrics-text', 'openmetrics'],
  ['text/plain', 'text'],
  ['text/*', 'text'],
  ['*/*', 'text'],
])
const VERSIONS: Readonly<Record<Format, readonly (string | undefined)[]>> = {
  openmetrics: ['1.0.0', '0.0.1', undefined],
  text: ['0.0.4', undefined],
}
/** More than any collector sends; the rest is not looked at. */
const MAX_ALTERNATIVES = 20

/**
 * What an `Accept` prefers (RFC 9110, 12.5.1): the highest q; among equals OpenMetrics, which says more. Text where it
 * names nothing that there is: a scrape is never refused over a media type.
 */
export function formatOf(accept: string | undefined): Format {
  let best: Format = 'text'
  let bestQuality = 0
  for (const alternative of (accept ?? '').split(',', MAX_ALTERNATIVES)) {
    const [type = '', ...rest] = alternative.split(';', MAX_ALTERNATIVES)
    const format = FORMATS.get(type.trim().toLowerCase())
    const parameters = new Map(rest.map(parameterOf))
    if (format === undefined || !VERSIONS[format].includes(parameters.get('version'))) continue
    const quality = qualityOf(parameters.get('q'))
    if (quality > bestQuality || (quality === bestQuality && quality > 0 && format === 'openmetrics')) {
      best = format
      bestQuality = quality
    }
  }
  return best
}

/** Whether an `Accept-Encoding` takes gzip. */
export function takesGzip(acceptEncoding: string | undefined): boolean {
  return (acceptEncoding ?? '').split(',', MAX_ALTERNATIVES).some((coding) => {
    const [name = '', ...rest] = coding.split(';', MAX_ALTERNATIVES)
    return name.trim().toLowerCase() === 'gzip' && qualityOf(new Map(rest.map(parameterOf)).get('q')) > 0
  })
}

function parameterOf(text: string): readonly [name: string, value: string] {
  const [name = '', value = ''] = text.split('=', 2)
  return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')]
}

function qualityOf(text: string | undefined): number {
  if (text === undefined) return 1
  const quality = Number(text)
  return text !== '' && quality >= 0 && quality <= 1 ? quality : 0
}
