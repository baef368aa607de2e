// How deep and how wide a JSON text is, seen without building anything: what is refused here costs one pass over at
// most `MAX_REQUEST_BYTES` characters. Guarantees nothing about whether the text is valid; the parser says that.

/** What a body may be. */
export interface JsonBounds {
  /** Objects and lists inside each other. */
  readonly maxDepth: number
  /** Members and elements, all together. */
  readonly maxValues: number
}

const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92
/** `[` and `{`, and `]` and `}`, differ in one bit. */
const OPENING = 91
const CLOSING = 93
const BRACE_BIT = 32

/** Whether a JSON text is deeper or wider than it may be. */
export function exceeds(text: string, { maxDepth, maxValues }: JsonBounds): boolean {
  let depth = 0
  let values = 1
  let inText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inText) {
      if (code === BACKSLASH) at++
      else if (code === QUOTE) inText = false
    } else if (code === QUOTE) inText = true
    else if (code === COMMA) {
      values++
      if (values > maxValues) return true
    } else if ((code & ~BRACE_BIT) === OPENING) {
      depth++
      values++
      if (depth > maxDepth || values > maxValues) return true
    } else if ((code & ~BRACE_BIT) === CLOSING) depth--
  }
  return false
}
