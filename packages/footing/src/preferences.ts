// What a client would rather have: `Accept`, `Accept-Encoding` and their like, as a list (RFC 9110, 12.4.2). Which of it
// there is, and what counts among equals, is for whoever asks.

/** One of the things that a header names. */
export interface Preference {
  /** In lower case, such as `text/html`, `gzip` or a star. */
  readonly name: string
  /** In lower case, without quotes around the values; without the quality. */
  readonly parameters: ReadonlyMap<string, string>
  /** From 0, which refuses it, to 1; what is no quality is 0. */
  readonly quality: number
}

/** More than any client sends; the rest is not looked at. */
const MAX_PREFERENCES = 20
const MAX_PARAMETERS = 20
const NO_PARAMETERS: ReadonlyMap<string, string> = new Map()

/**
 * The preferences of a header, in its order: the first 20, each with its first 20 parameters. A comma or a semicolon
 * inside of quotes divides all the same. Never throws.
 */
export function preferencesOf(header: string | undefined): Preference[] {
  if (header === undefined || header === '') return []
  return header.toLowerCase().split(',', MAX_PREFERENCES).map(preferenceOf)
}

function preferenceOf(text: string): Preference {
  if (!text.includes(';')) return { name: text.trim(), parameters: NO_PARAMETERS, quality: 1 }
  const [name = '', ...rest] = text.split(';', MAX_PARAMETERS + 1)
  const parameters = new Map(rest.map(parameterOf))
  const quality = qualityOf(parameters.get('q'))
  parameters.delete('q')
  return { name: name.trim(), parameters, quality }
}

function parameterOf(text: string): readonly [name: string, value: string] {
  const [name = '', value = ''] = text.split('=', 2)
  return [name.trim(), value.trim().replace(/^"(.*)"$/, '$1')]
}

function qualityOf(text: string | undefined): number {
  if (text === undefined) return 1
  const quality = Number(text)
  return text !== '' && quality >= 0 && quality <= 1 ? quality : 0
}
