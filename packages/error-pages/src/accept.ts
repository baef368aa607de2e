// Whether a client would rather have a page than a document for programs (RFC 9110, 12.5.1).

import { preferencesOf } from '@holdfast/footing'

const MAX_LENGTH = 1000

/**
 * True when `Accept` gives HTML a higher quality than JSON. Browsers do; `*\/*`, no header, one that is too long to be
 * a browser's, and a tie mean JSON.
 */
export function prefersHtml(accept: string | undefined): boolean {
  if (accept === undefined || accept.length > MAX_LENGTH || !/html/i.test(accept)) return false
  let html = new Quality()
  let json = new Quality()
  for (const { name, quality } of preferencesOf(accept)) {
    html = html.given(HTML.get(name), quality)
    json = json.given(JSON_TYPES.get(name), quality)
  }
  return html.value > json.value
}

/** The quality of the most exact range so far; of two that are as exact, the higher one. */
class Quality {
  readonly value: number
  readonly #exactness: number

  constructor(value = 0, exactness = 0) {
    this.value = value
    this.#exactness = exactness
  }

  given(exactness: number | undefined, value: number): Quality {
    if (exactness === undefined || exactness < this.#exactness) return this
    return new Quality(exactness === this.#exactness ? Math.max(value, this.value) : value, exactness)
  }
}

const ANYTHING = ['*/*', 1] as const
const HTML: ReadonlyMap<string, number> = new Map([
  ANYTHING,
  ['text/*', 2],
  ['text/html', 3],
  ['application/xhtml+xml', 3],
])
const JSON_TYPES: ReadonlyMap<string, number> = new Map([
  ANYTHING,
  ['application/*', 2],
  ['application/json', 3],
  ['application/problem+json', 3],
])
