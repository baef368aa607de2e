/*
 * Values on their way to another process, as JSON that loses nothing.
 *
 * What arrives equals what left: plain objects, arrays, strings, finite numbers, booleans, null, and `undefined` as
 * the whole value or as a member (which reads the same when it is left out). Everything that JSON would drop or
 * change without a word is refused with the place where it stands: Dates, Buffers, Maps, class instances, bigints,
 * NaN and infinities, functions, symbols, cycles, holes in arrays.
 */
import { ValueNotShareableError } from './errors.ts'

/** Turns values into bytes and back. Both functions are synchronous; what `decode` throws counts as a missing value. */
export interface FleetCodec {
  encode(value: unknown): Uint8Array | string
  decode(bytes: Buffer): unknown
}

/** Deeper nesting is refused, like a cycle. */
const MAX_DEPTH = 200

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
      if (!Number.isFinite(value)) throw new ValueNotShareableError(place, String(value))
      return
    case 'object':
      if (value === null) return
      break
    default:
      throw new ValueNotShareableError(
        place,
        typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`,
      )
  }
  if (depth >= MAX_DEPTH)
    throw new ValueNotShareableError(place, `nested deeper than ${MAX_DEPTH}, or a cycle`)
  if (Array.isArray(value)) {
    // By index: forEach and entries of Object would skip a hole, and JSON turns it into null.
    for (let index = 0; index < value.length; index++) {
      refuseLossy(value[index], `${place}[${index}]`, depth + 1)
    }
    return
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new ValueNotShareableError(place, `an instance of ${value.constructor?.name ?? 'a class'}`)
  }
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) refuseLossy(member, `${place}.${name}`, depth + 1)
  }
}
