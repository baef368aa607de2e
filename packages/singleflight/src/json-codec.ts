/*
 * Values on their way to another process, as JSON that loses nothing.
 *
 * What arrives equals what left: plain objects, arrays, strings, finite numbers, booleans, null, and `undefined` as
 * the whole value or as a member (which reads the same when it is left out). Everything that JSON would drop or
 * change without a word is refused with the place where it stands: Dates, Buffers, Maps, class instances, bigints,
 * NaN and infinities, functions, symbols, cycles, holes in arrays. Only -0 arrives as 0: who computes does not mean it.
 */
import { ValueNotShareableError } from './errors.ts'

/** Turns values into bytes and back. Both functions are synchronous; what `decode` throws counts as a missing value. */
export interface FleetCodec {
  encode(value: unknown): Uint8Array | string
  decode(bytes: Buffer): unknown
}

/** Deeper nesting is refused, like a cycle. */
const MAX_DEPTH = 200
/** Characters of a place in the message. */
const MAX_PLACE = 200

/** The default codec. */
export const jsonCodec: FleetCodec = {
  encode(value) {
    if (value === undefined) return ''
    refuseLossy(value, 'the value', 0)
    return JSON.stringify(value)
  },
  decode: (bytes) => (bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'))),
}

function refuseLossy(value: unknown, place: string, depth: number): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(value)) throw notShareable(place, String(value))
      return
    case 'object':
      if (value === null) return
      break
    default:
      throw notShareable(place, typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`)
  }
  if (depth >= MAX_DEPTH) throw notShareable(place, `nested deeper than ${MAX_DEPTH}, or a cycle`)
  if (Array.isArray(value)) {
    // By index: forEach and entries of Object would skip a hole, and JSON turns it into null.
    for (let index = 0; index < value.length; index++) {
      refuseLossy(value[index], `${place}[${index}]`, depth + 1)
    }
    return
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw notShareable(place, `an instance of ${value.constructor?.name ?? 'a class'}`)
  }
  if (Object.getOwnPropertySymbols(value).length > 0) {
    throw notShareable(place, 'an object with a member that is named by a symbol')
  }
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) refuseLossy(member, `${place}.${name}`, depth + 1)
  }
}

function notShareable(place: string, received: string): Error {
  const shown = place.length > MAX_PLACE ? `${place.slice(0, MAX_PLACE)}...` : place
  return new ValueNotShareableError(shown, received)
}
