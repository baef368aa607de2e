/**
 * Evaluates `If-Match` and `If-None-Match` (RFC 9110, 13.1 and 13.2.2) against entity tags.
 *
 * Guarantees: reads whole lists, `*`, weak tags, commas and any byte above 0x7F inside quotes; linear in
 * the header's length, and a header longer than `maxConditionLength` is not read at all. What cannot be
 * read never turns a GET into anything but a full answer, and never lets a guarded write through.
 * Not covered: dates (`If-Modified-Since`), because representations carry no `Last-Modified`.
 */

/** Longest condition that is read, in characters. Node's own limit for all headers together is 16 KiB. */
export const maxConditionLength = 8192

/** How a condition's list relates to the tags it is compared with. */
export type TagMatch = 'match' | 'no-match' | 'malformed'

/** What to do with a request before any work is done for it. */
export type PreconditionOutcome = 'proceed' | 'not-modified' | 'precondition-failed'

const quote = 0x22

/**
 * Compares a list of entity tags (or `*`) with the current tags of a resource.
 *
 * @param tags strong tags, with quotes; an empty list means that the resource does not exist
 * @param comparison `weak` ignores a `W/` prefix (If-None-Match); `strong` refuses it (If-Match)
 */
export function matchEntityTags(
  header: string,
  tags: readonly string[],
  comparison: 'weak' | 'strong',
): TagMatch {
  // Nearly every condition is one tag, exactly as it was sent.
  if (tags.includes(header)) return 'match'
  if (header.length > maxConditionLength) return 'malformed'
  const end = header.length
  let position = skipSeparators(header, 0)
  if (header.charCodeAt(position) === 0x2a) {
    // `*` stands alone: RFC 9110 does not allow it as a member of a list.
    return skipBlanks(header, position + 1) === end ? (tags.length > 0 ? 'match' : 'no-match') : 'malformed'
  }
  if (position === end) return 'malformed'
  while (position < end) {
    const weak = header.startsWith('W/', position)
    const start = weak ? position + 2 : position
    if (header.charCodeAt(start) !== quote) return 'malformed'
    const close = header.indexOf('"', start + 1)
    if (close === -1) return 'malformed'
    const next = skipBlanks(header, close + 1)
    if (next !== end && header.charCodeAt(next) !== 0x2c) return 'malformed'
    if (!(weak && comparison === 'strong') && tags.includes(header.slice(start, close + 1))) return 'match'
    position = skipSeparators(header, next)
  }
  return 'no-match'
}

/** The parts of a request that conditions are made of. Header names are lower case, as in Node. */
export interface ConditionalRequest {
  readonly method: string
  readonly headers: {
    readonly 'if-match'?: string | undefined
    readonly 'if-none-match'?: string | undefined
  }
}

/**
 * Evaluates the conditions of a request in the order of RFC 9110, 13.2.2.
 *
 * @param tags current strong tags: the selected variant's for GET and HEAD, every variant's for a write;
 *   empty when the resource does not exist
 */
export function evaluateConditions(
  { method, headers }: ConditionalRequest,
  tags: readonly string[],
): PreconditionOutcome {
  const safe = method === 'GET' || method === 'HEAD'
  const ifMatch = headers['if-match']
  if (ifMatch !== undefined) {
    const result = matchEntityTags(ifMatch, tags, 'strong')
    if (result === 'no-match' || (result === 'malformed' && !safe)) return 'precondition-failed'
  }
  const ifNoneMatch = headers['if-none-match']
  if (ifNoneMatch !== undefined) {
    const result = matchEntityTags(ifNoneMatch, tags, 'weak')
    if (safe) return result === 'match' ? 'not-modified' : 'proceed'
    if (result !== 'no-match') return 'precondition-failed'
  }
  return 'proceed'
}

function skipBlanks(text: string, from: number): number {
  let position = from
  while (text.charCodeAt(position) === 0x20 || text.charCodeAt(position) === 0x09) position++
  return position
}

/** A list may hold empty members (RFC 9110, 5.6.1): any run of commas and blanks separates. */
function skipSeparators(text: string, from: number): number {
  let position = skipBlanks(text, from)
  while (text.charCodeAt(position) === 0x2c) position = skipBlanks(text, position + 1)
  return position
}
