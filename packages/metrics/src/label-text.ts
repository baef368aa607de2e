/** What a line of a scrape is made of: numbers, names and texts, escaped. */

/** `a="1",b="2"` */
export function labelText(labels: Readonly<Record<string, string | number>>): string {
  let text = ''
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeValue(String(value))}"`
  }
  return text
}

/** OpenMetrics 1.0: names and values of an exemplar have at most so many characters together. */
const MAX_EXEMPLAR = 128
const LABEL = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Whether they can be the labels of an exemplar. One that cannot would make the whole scrape unreadable. */
export function fitsExemplar(labels: unknown): labels is Readonly<Record<string, string>> {
  if (typeof labels !== 'object' || labels === null) return false
  let length = 0
  for (const [name, value] of Object.entries(labels)) {
    if (!LABEL.test(name) || typeof value !== 'string') return false
    length += name.length + value.length
  }
  return length <= MAX_EXEMPLAR
}

/** OpenMetrics 1.0: labels, the value that was observed, and when, in seconds. Nothing of one that cannot be told. */
export function exemplarText(labels: unknown, value: number, seconds: number | undefined): string {
  if (!fitsExemplar(labels) || !Number.isFinite(value)) return ''
  const when = Number.isFinite(seconds) ? ` ${seconds}` : ''
  return ` # {${labelText(labels)}} ${numberText(value)}${when}`
}

/** `{a="1"}`, or nothing. */
export function braced(text: string): string {
  return text === '' ? '' : `{${text}}`
}

/** As both formats want it. */
export function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}

/** With a point or an exponent, so that the bucket of 1 is called `1.0` in both formats. */
export function boundText(bound: number): string {
  return Number.isInteger(bound) && Math.abs(bound) < 1e21 ? `${bound}.0` : numberText(bound)
}

/** Of the help: OpenMetrics also escapes quotation marks. */
export function escapeHelp(text: string, quotes: boolean): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return quotes ? escaped.replaceAll('"', '\\"') : escaped
}

const SPECIAL = /[\\"\n]/
function escapeValue(value: string): string {
  if (!SPECIAL.test(value)) return value
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
