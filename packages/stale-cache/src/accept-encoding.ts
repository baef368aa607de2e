/**
 * Chooses the content coding of an answer from `Accept-Encoding` (RFC 9110, 12.5.3).
 *
 * Guarantees: never throws; a coding the client refuses (`q=0`) is sent only when that coding is
 * `identity` and nothing else is left (an answer the client may dislike is worth more than a 406);
 * at equal weights `br` goes before `gzip` and `gzip` before `identity`; work per header is linear,
 * and answers are remembered per header text in two generations of bounded size, so a flood of
 * made-up headers neither grows memory nor displaces the headers real clients send.
 */

/** A content coding in which representations are kept. */
export type Encoding = 'identity' | 'gzip' | 'br'

/** Codings that a client wants, most wanted first. Where none of them is kept, `identity` is sent. */
export type EncodingOrder = readonly Encoding[]

/** Longest header that is read, in characters; browsers send about 25. Longer ones are not read. */
export const maxAcceptEncodingLength = 1024

const nothingWanted: EncodingOrder = []
/** At equal weights, the earlier one wins. */
const serverPreference: readonly Encoding[] = ['br', 'gzip', 'identity']
/** coding, then optionally its weight; anything else in an element makes it malformed. */
const elementPattern = /^([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/

/**
 * Reads one `Accept-Encoding` value (undefined: no header) and returns the codings to try.
 *
 * Malformed elements are ignored. `x-gzip` is `gzip`. Where a coding is named twice the lower weight
 * counts. `*` stands for every coding not named.
 */
export function parseAcceptEncoding(header: string | undefined): EncodingOrder {
  if (header === undefined || header.length > maxAcceptEncodingLength) return nothingWanted
  const weights = new Map<string, number>()
  for (const element of header.toLowerCase().split(',')) {
    const parts = elementPattern.exec(trimOptionalWhitespace(element))
    if (parts === null) continue
    const [, name = '', weight = '1'] = parts
    const coding = name === 'x-gzip' ? 'gzip' : name
    weights.set(coding, Math.min(Number(weight), weights.get(coding) ?? 1))
  }
  const anyOther = weights.get('*')
  const wanted: { encoding: Encoding; weight: number }[] = []
  for (const encoding of serverPreference) {
    const weight = weights.get(encoding) ?? anyOther
    if (weight !== undefined && weight > 0) wanted.push({ encoding, weight })
  }
  // A stable sort keeps the server's preference among equals.
  return wanted.sort((a, b) => b.weight - a.weight).map(({ encoding }) => encoding)
}

/** Optional whitespace of HTTP is space and tab only; String.trim() would take more. */
function trimOptionalWhitespace(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** Remembers `parseAcceptEncoding` per header text, at most `2 * maxEntries` texts. */
export class EncodingNegotiator {
  readonly #maxEntries: number
  #recent = new Map<string, EncodingOrder>()
  #older = new Map<string, EncodingOrder>()

  /** @param maxEntries texts per generation; default 128. Real traffic has a few dozen. */
  constructor(maxEntries = 128) {
    this.#maxEntries = maxEntries
  }

  /** The codings to try for a header value, most wanted first. */
  orderFor(header: string | undefined): EncodingOrder {
    if (header === undefined || header.length > maxAcceptEncodingLength) return nothingWanted
    const known = this.#recent.get(header)
    if (known !== undefined) return known
    const order = this.#older.get(header) ?? parseAcceptEncoding(header)
    if (this.#recent.size >= this.#maxEntries) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(header, order)
    return order
  }

  /** Number of header texts remembered now. */
  get size(): number {
    return this.#recent.size + this.#older.size
  }
}
