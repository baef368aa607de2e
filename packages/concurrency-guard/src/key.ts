/*
 * Keys of operations. Two keys are equal when their parts are equal as texts, one by one: no part can pretend to be
 * two, whatever users put into it. A long key is replaced by its SHA-256, so that a key taken from a request fills
 * neither the memory nor Redis.
 */
import { createHash } from 'node:crypto'
import { KeyError } from './errors.ts'

/** One part of a key; a number counts as its text. */
export type KeyPart = string | number | bigint

/** What only one operation at a time may be under way for: `['bot', userId]`. `'a'` is short for `['a']`. */
export type OperationKey = string | readonly [KeyPart, ...KeyPart[]]

/** A key as this process and Redis know it. */
export class EncodedKey {
  /** The same for equal keys, and for no others. */
  readonly text: string
  /** Undefined for a long key, of which only the hash is kept. */
  readonly #parts: readonly string[] | undefined

  constructor(parts: readonly string[]) {
    const text = JSON.stringify(parts)
    const isLong = text.length > MAX_PLAIN_LENGTH
    this.text = isLong ? hashOf(text) : text
    this.#parts = isLong ? undefined : parts
  }

  /** What Redis leases. The last part chooses the slot. Made only when Redis is asked. */
  get leaseName(): readonly [string, ...string[]] {
    const parts = this.#parts
    if (parts === undefined) return ['concurrency-guard-hash', this.text]
    // JSON is well-formed itself: half a surrogate pair is escaped in it.
    if (!parts.every((part) => part.isWellFormed())) return ['concurrency-guard-hash', hashOf(this.text)]
    return ['concurrency-guard', ...parts]
  }
}

/** The longest key, in UTF-16 units with its separators, that is kept as it is. */
export const MAX_PLAIN_LENGTH = 200

/** Raises `HOLDFAST_ERR_CONCURRENCY_GUARD_KEY`. */
export function encodeKey(key: OperationKey): EncodedKey {
  const given: readonly unknown[] = typeof key === 'string' ? [key] : key
  if (!Array.isArray(given) || given.length === 0) throw new KeyError(`received ${described(given)}`)
  const parts: string[] = []
  // Not map(), which passes over holes.
  for (let place = 0; place < given.length; place += 1) parts.push(textOf(given[place], place))
  return new EncodedKey(parts)
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function textOf(part: unknown, place: number): string {
  if (typeof part === 'string' && part !== '') return part
  if (Number.isFinite(part) || typeof part === 'bigint') return String(part)
  throw new KeyError(`part ${place} is ${described(part)}`)
}

function described(value: unknown): string {
  if (value === '') return 'an empty text'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}
