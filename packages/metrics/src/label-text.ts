/** What a line of a scrape is made of: numbers, names and texts, escaped. */

/** `a="1",b="2"` */
export function labelText(labels: Readonly<Record<string, string | number>>): string {
  let text = ''
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeValue(String(value))}"`
  }
  return text
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
