/**
 * Reads out of an error when its sender wants to be asked again: `retryAfterMs`, `retryAfterSeconds`, or a
 * `Retry-After` header (RFC 9110, 10.2.3: seconds or a date) in `headers` or `response.headers`.
 */

/** Milliseconds from now, at least 0; `undefined` when the error says nothing that can be read. */
export function retryHintMs(error: unknown, wallMs: number): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { retryAfterMs, retryAfterSeconds, headers, response } = error as Readonly<Record<string, unknown>>
  return (
    milliseconds(retryAfterMs, 1) ??
    milliseconds(retryAfterSeconds, 1000) ??
    headerMs(headers, wallMs) ??
    headerMs((response as { readonly headers?: unknown } | null | undefined)?.headers, wallMs)
  )
}

function milliseconds(value: unknown, factor: number): number | undefined {
  return typeof value === 'number' && value >= 0 ? value * factor : undefined
}

function headerMs(headers: unknown, wallMs: number): number | undefined {
  const value = headerOf(headers)
  if (typeof value === 'number') return milliseconds(value, 1000)
  if (typeof value !== 'string') return undefined
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000
  // Date.parse would read a year out of "-1" and "1.5".
  if (!/^\s*[A-Za-z]{3,9},? .*\d GMT\s*$/.test(value)) return undefined
  const dateMs = Date.parse(value)
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - wallMs)
}

function headerOf(headers: unknown): unknown {
  if (typeof headers !== 'object' || headers === null) return undefined
  // The Headers of fetch; everybody else keeps headers in an object, most with names in lower case.
  if (headers instanceof Headers) return headers.get('retry-after')
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() === 'retry-after') return Array.isArray(value) ? value[0] : value
  }
  return undefined
}
