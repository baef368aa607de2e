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
export interface EncodedKey {
  /** The same for equal keys, and for no others. */
  readonly text: string
  /** What Redis leases. The last part chooses the slot. */
  readonly leaseName: readonly [string, ...string[]]
}

/** The longest key, in UTF-16 units with its separators, that is kept as it is. */
export const MAX_PLAIN_LENGTH = 200

/** Raises `HOLDFAST_ERR_CONCURRENCY_GUARD_KEY`. */
export function encodeKey(key: OperationKey): EncodedKey {
  const given: readonly unknown[] = typeof key === 'string' ? [key] : key
  if (!Array.isArray(given) || given.length === 0) throw new KeyError(`received ${described(given)}`)
  // Not map(), which passes over holes.
  const parts = Array.from(given, textOf)
  const text = JSON.stringify(parts)
  if (text.length <= MAX_PLAIN_LENGTH && parts.every((part) => part.isWellFormed())) {
    return { text, leaseName: ['concurrency-guard', ...parts] }
  }
  // JSON is well-formed itself: half a surrogate pair is escaped in it.
  const hash = createHash('sha256').update(text).digest('hex')
  return { text: hash, leaseName: ['concurrency-guard-hash', hash] }
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
