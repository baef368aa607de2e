/*
 * Canonical encoding of key tuples: two tuples give the same text if and only if they are equal.
 *
 * Equal means: same length, and at each place the same type and value, where NaN equals NaN, -0 equals 0 and
 * Dates are equal at the same millisecond. Every part is self-delimiting (a netstring, or a tag and a closing
 * ';'), so no part can pretend to be two: ['a:b', 'c'] and ['a', 'b:c'] differ. The text is well-formed
 * Unicode, so it stays unambiguous when it leaves the process as UTF-8: a lone surrogate is escaped.
 */
import { KeyInvalidError, KeyTooLongError } from './errors.ts'
import { KeyMemo } from './key-memo.ts'

/** One part of a key. */
export type FlightKeyPart = string | number | bigint | boolean | null | undefined | Date

/** What identifies a flight: a tuple, for example `['branding', tenant]`. Begin with what the flight is about. */
export type FlightKey = readonly FlightKeyPart[]

/** Longest encoded key, in UTF-16 units: a key taken from a request cannot fill the memory. */
export const MAX_KEY_LENGTH = 4096

const memo = new KeyMemo()

/**
 * Encodes a key tuple as text.
 *
 * @throws `HOLDFAST_ERR_SINGLEFLIGHT_KEY_INVALID` for anything but an array, and for functions, symbols,
 * objects (so cycles too) and invalid Dates inside it; `HOLDFAST_ERR_SINGLEFLIGHT_KEY_TOO_LONG` beyond
 * `MAX_KEY_LENGTH`.
 */
export function encodeKey(parts: FlightKey): string {
  if (!Array.isArray(parts)) throw new KeyInvalidError('the key is no array', describe(parts))
  const known = memo.recall(parts)
  if (known !== undefined) return known
  let text = ''
  let lasting = true
  for (let place = 0; place < parts.length; place++) {
    const part: unknown = parts[place]
    // Inline: nearly every part is a well-formed string, and this runs once per caller.
    if (typeof part === 'string' && part.isWellFormed()) {
      text += `${part.length}:${part}`
      continue
    }
    if (part instanceof Date) lasting = false
    text += encodePart(part, place)
  }
  if (text.length > MAX_KEY_LENGTH) throw new KeyTooLongError(text.length, MAX_KEY_LENGTH)
  if (lasting) memo.remember(parts, text)
  return text
}

function encodePart(part: unknown, place: number): string {
  switch (typeof part) {
    case 'string':
      // JSON.stringify is itself well-formed: it writes a lone surrogate as \udXXX.
      return `u${JSON.stringify(part)}`
    case 'number':
      // String(-0) is '0', which makes -0 and 0 one key.
      return `n${part};`
    case 'bigint':
      return `b${part};`
    case 'boolean':
      return part ? 't;' : 'f;'
    case 'undefined':
      return '-;'
    case 'object':
      if (part === null) return 'z;'
      if (part instanceof Date && !Number.isNaN(part.getTime())) return `d${part.getTime()};`
  }
  throw new KeyInvalidError(`part ${place} has no canonical form`, describe(part))
}

function describe(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (value instanceof Date) return 'an invalid Date'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return String(value)
}
