import { preferencesOf } from '@holdfast/footing'

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

/**
 * What an `Accept` prefers (RFC 9110, 12.5.1): the highest q; among equals OpenMetrics, which says more. Text where it
 * names nothing that there is: a scrape is never refused over a media type.
 */
export function formatOf(accept: string | undefined): Format {
  let best: Format = 'text'
  let bestQuality = 0
  for (const { name, parameters, quality } of preferencesOf(accept)) {
    const format = FORMATS.get(name)
    if (format === undefined || !VERSIONS[format].includes(parameters.get('version'))) continue
    if (quality > bestQuality || (quality === bestQuality && quality > 0 && format === 'openmetrics')) {
      best = format
      bestQuality = quality
    }
  }
  return best
}

/** Whether an `Accept-Encoding` takes gzip. */
export function takesGzip(acceptEncoding: string | undefined): boolean {
  return preferencesOf(acceptEncoding).some(({ name, quality }) => name === 'gzip' && quality > 0)
}
