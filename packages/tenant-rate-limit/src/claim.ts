import { createHash } from 'node:crypto'
import { CostError } from './errors.ts'
import type { Policy } from './policy.ts'

/** One bucket that a request draws on, and how much it takes. Made by `claim()`. */
export interface Claim {
  readonly policy: Policy
  /** The tenant; a fleet-wide ceiling has a tag of its own. Buckets with one tag share a Redis slot. */
  readonly slotTag: string
  /** Whose bucket it is within the tag: a user, a class, a group... */
  readonly scope: string
  /** Whole units, 0 or more. */
  readonly cost: number
  /** Names the bucket within this process: two claims with one key draw on one bucket. */
  readonly key: string
}

/** The most claims in one request. */
export const MAX_CLAIMS = 16

/** Longer texts are replaced by a hash: what comes from a request cannot fill memory, nor break a key. */
export const MAX_PART_LENGTH = 64

/** Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_COST`. */
export function claim(policy: Policy, slotTag: string, scope: string, cost = 1): Claim {
  if (!(Number.isSafeInteger(cost) && cost >= 0)) throw new CostError(policy.name, String(cost))
  const tag = bounded(slotTag)
  const part = bounded(scope)
  // The name has no ':', and the length says where the tag ends: no two buckets share a key.
  return { policy, slotTag: tag, scope: part, cost, key: `${policy.name}:${tag.length}:${tag}${part}` }
}

function bounded(text: string): string {
  // Many requests have no tenant. No hash is that short, and what begins with '#' is hashed: nobody can name either.
  if (text === '') return '#'
  const plain = text.length <= MAX_PART_LENGTH && text.charCodeAt(0) !== HASH_SIGN
  if (plain && text.isWellFormed()) return text
  return `#${shortHash(text)}`
}

/** Stands for a long text, in 24 characters. Of UTF-16, in which every lone surrogate is itself. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text, 'utf16le').digest('base64url').slice(0, 24)
}

const HASH_SIGN = '#'.charCodeAt(0)
