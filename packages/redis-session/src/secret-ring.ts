/*
 * The ring of secrets. From each one its own keys are derived (HKDF, RFC 5869): one that signs ids, one (the pepper)
 * that turns ids and user names into the names Redis knows, one that seals. An id names the secret it was made with,
 * so a session is found by one look-up however many secrets there are; a secret that has left the ring takes its
 * sessions with it. Nothing in Redis can be joined with a cookie or a user's name without a secret of the ring.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** Where something is kept: the tag chooses the slot, the hash names it there. */
export interface Address {
  /** Four hexadecimal digits. */
  readonly tag: string
  readonly hash: string
}

/** Whether a text has the form of a hash: what comes from outside is looked at before it is sent anywhere. */
export function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{32}$/.test(value)
}

/** The keys that come from one secret. */
export interface RingKeys {
  /** Names the secret in ids; says nothing about it. */
  readonly kid: string
  readonly signing: KeyObject
  readonly pepper: KeyObject
  readonly sealing: KeyObject
}

/** What a secret must have at least: 32 characters. */
export const MIN_SECRET_LENGTH = 32
export const MAX_SECRETS = 8

const SALT = 'holdfast redis-session v1'
const KEY_BYTES = 32
const KID_BYTES = 6
const HASH_BYTES = 24

export class SecretRing {
  /** New ids are made with this one. */
  readonly current: RingKeys
  /** The current one first. */
  readonly all: readonly RingKeys[]
  readonly #byKid: ReadonlyMap<string, RingKeys>

  /** The first secret makes new ids, the others are still understood. */
  constructor(secrets: readonly [string, ...string[]]) {
    const [first, ...others] = secrets
    this.current = deriveKeys(first)
    this.all = [this.current, ...others.map(deriveKeys)]
    this.#byKid = new Map(this.all.map((keys) => [keys.kid, keys]))
  }

  /** Exact look-up; undefined for a secret that is not, or no longer, of the ring. */
  find(kid: string): RingKeys | undefined {
    return this.#byKid.get(kid)
  }

  /** Where the sessions of a user are listed, for each secret of the ring. */
  usersOf(userId: string): readonly Address[] {
    return this.all.map((keys) => userAddress(keys, userId))
  }
}

/** Where the sessions of a user are listed. They all carry the tag of this address. */
export function userAddress({ pepper }: RingKeys, userId: string): Address {
  const digest = createHmac('sha256', pepper).update(`user\n${userId}`).digest()
  return {
    tag: digest.toString('hex', 0, 2),
    hash: digest.toString('base64url', 2, 2 + HASH_BYTES),
  }
}

/** Where a session is kept, by the random part of its id. */
export function sessionAddress({ pepper }: RingKeys, tag: string, random: string): Address {
  const digest = createHmac('sha256', pepper).update(`session\n${random}`).digest()
  return { tag, hash: digest.toString('base64url', 0, HASH_BYTES) }
}

function deriveKeys(secret: string): RingKeys {
  const derive = (info: string, bytes: number) => Buffer.from(hkdfSync('sha256', secret, SALT, info, bytes))
  return {
    kid: derive('kid', KID_BYTES).toString('base64url'),
    signing: createSecretKey(derive('sign', KEY_BYTES)),
    pepper: createSecretKey(derive('pepper', KEY_BYTES)),
    sealing: createSecretKey(derive('seal', KEY_BYTES)),
  }
}
