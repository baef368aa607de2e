/*
 * Keys that cannot collide. Each part is escaped on its own, so that the separators in a key are always ours: two
 * different lists of arguments give two different keys, whatever users put into them. The slot tag is the only text
 * between braces, so it alone decides about the slot.
 */
import { KeyError } from './errors.ts'

/** The most bytes a key may have. */
export const MAX_KEY_BYTES = 1024

/** What separates, what escapes, and control characters: those of ASCII and of Latin-1. */
const special = /[%:{}\p{Cc}]/gu

/** `<prefix>:<namespace>:{<slot tag>}:<parts>`. Raises `HOLDFAST_ERR_REDIS_GUARD_KEY`. */
export function buildKey(
  prefix: string,
  namespace: string,
  slotTag: string,
  parts: readonly string[],
): string {
  if (namespace === '') throw new KeyError('the namespace must not be empty')
  // Redis would hash the whole key, and each key would get a slot of its own.
  if (slotTag === '') throw new KeyError('the slot tag must not be empty')
  let key = `${prefix}:${escaped(namespace)}:{${escaped(slotTag)}}`
  for (const part of parts) key += `:${escaped(part)}`
  // No text has more bytes than three times its length.
  if (key.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new KeyError(
      `a key has at most ${MAX_KEY_BYTES} bytes, this one has ${Buffer.byteLength(key)}; put a hash of the long part into it`,
    )
  }
  return key
}

function escaped(part: string): string {
  if (typeof part !== 'string') throw new KeyError(`every part must be a text, received ${String(part)}`)
  let text = ''
  let from = 0
  // Nearly every part is ASCII, and on the way of every call: by far quicker than the expression.
  for (let at = 0; at < part.length; at += 1) {
    const code = part.charCodeAt(at)
    if (code >= 128) return escapedBeyondAscii(part)
    const instead = ascii[code]
    if (instead === undefined) continue
    text += part.slice(from, at) + instead
    from = at + 1
  }
  return from === 0 ? part : text + part.slice(from)
}

function escapedBeyondAscii(part: string): string {
  // In UTF-8 every lone surrogate becomes the same replacement character.
  if (!part.isWellFormed()) throw new KeyError('a part has half of a surrogate pair')
  return part.replace(special, escapeOf)
}

function escapeOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`
}

/** What stands for each character of ASCII that is escaped. */
const ascii = Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code)
  return character.search(special) === 0 ? escapeOf(character) : undefined
})
