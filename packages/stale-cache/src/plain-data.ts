/*
 * Makes a value safe to hand to everybody, and weighs it.
 *
 * Plain data (arrays, and objects with no class) is frozen to any depth. What has a class (Date, Map, Buffer,
 * an instance of yours) is neither frozen nor entered: hand those out only if nobody mutates them. The weight
 * is an estimate of the memory held, good enough for a bound: two bytes per UTF-16 unit, 16 per slot, what a
 * buffer or typed array really holds, and a flat 64 for anything that is not entered.
 */
const SLOT_BYTES = 16
const OBJECT_BYTES = 48
const OPAQUE_BYTES = 64

/** Freezes the plain data in `value` (unless `freeze` is false) and returns its weight in bytes. */
export function freezeAndWeigh(value: unknown, freeze: boolean): number {
  const seen = new Set<object>()
  const pending: unknown[] = [value]
  let bytes = 0
  // A loop, not a recursion: data nested 100,000 deep must not end the process.
  while (pending.length > 0) {
    const current = pending.pop()
    if (typeof current === 'string') bytes += 2 * current.length
    if (typeof current !== 'object' || current === null || seen.has(current)) continue
    seen.add(current)
    if (ArrayBuffer.isView(current)) {
      bytes += OPAQUE_BYTES + current.byteLength
    } else if (isPlain(current)) {
      bytes += OBJECT_BYTES
      for (const inner of Object.values(current)) {
        bytes += SLOT_BYTES
        pending.push(inner)
      }
      if (freeze) Object.freeze(current)
    } else {
      bytes += OPAQUE_BYTES
    }
  }
  return bytes
}

function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
