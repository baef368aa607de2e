// What a client calls a request that changes something (`Idempotency-Key`), and what it has asked for under that name:
// the same again is answered with what it made the first time, another request under the same name is refused.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ApiIdempotencyKeyError } from './errors.ts'

export const IDEMPOTENCY_KEY_HEADER = 'idempotency-key'
/** Says of an answer that what it tells was made by a request before. */
export const REPLAYED_HEADER = 'idempotent-replayed'

const IDEMPOTENCY_KEY = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  pattern: '^[!-~]+$',
  description: 'A new one for each new request, the same one for a repeat.',
} as const

/** The header of a request, as JSON schema. */
export const IDEMPOTENT_HEADERS = {
  type: 'object',
  required: [IDEMPOTENCY_KEY_HEADER],
  properties: { [IDEMPOTENCY_KEY_HEADER]: IDEMPOTENCY_KEY },
} as const

/** The header of an answer, for readers. */
export const REPLAYED_HEADERS = {
  'Idempotent-Replayed': {
    type: 'string',
    enum: ['true'],
    description: 'A request before has made this, with the same key; nothing was done again.',
  },
} as const

const VISIBLE = new RegExp(IDEMPOTENCY_KEY.pattern)

/**
 * The key of a request. A key that is sent twice arrives as one with a space in it.
 * @throws {ApiIdempotencyKeyError}
 */
export function idempotencyKeyOf(headers: IncomingHttpHeaders): string {
  const given = headers[IDEMPOTENCY_KEY_HEADER]
  if (given === undefined || given === '') throw new ApiIdempotencyKeyError('there is none')
  const key = String(given)
  if (key.length > IDEMPOTENCY_KEY.maxLength) throw new ApiIdempotencyKeyError(`this one has ${key.length}`)
  if (!VISIBLE.test(key))
    throw new ApiIdempotencyKeyError('this one has a space, or what is no visible character')
  return key
}

/** SHA-256 of what was asked for. `members` in a fixed order, each with a default for what was left out. */
export function requestDigest(route: string, members: readonly (string | number | null)[]): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([route, ...members]))
    .digest()
}
