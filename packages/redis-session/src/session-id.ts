/*
 * Ids of sessions: `v1.<kid>.<tag>.<random>.<mac>`.
 *
 * Guarantees: an id that this service did not mint is recognised without a look-up (128 bits of HMAC-SHA256, compared
 * in constant time); an id has one spelling only; 256 random bits cannot be guessed. The tag chooses the slot in
 * Redis: that of the user's list, or a random one while nobody is signed in. Whether a session with that id still
 * exists, only its store knows.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Address, type RingKeys, type SecretRing, sessionAddress } from './secret-ring.ts'

/** An id, and where its session is kept. */
export interface SessionId {
  /** The text for the cookie. A secret: not for logs. */
  readonly text: string
  readonly kid: string
  readonly address: Address
}

/** Answers so many random bytes. */
export type RandomBytes = (size: number) => Buffer

const RANDOM_BYTES = 32
const MAC_BYTES = 16
const form = /^v1\.([\w-]{8})\.([0-9a-f]{4})\.([\w-]{43})\.([\w-]{22})$/
/** The length of every id. */
export const ID_LENGTH = 2 + 1 + 8 + 1 + 4 + 1 + 43 + 1 + 22

/** A new id. Without `tag`, of somebody who is not signed in, a random one spreads the slots. */
export function mintId(keys: RingKeys, randomBytes: RandomBytes, tag?: string): SessionId {
  const chosen = tag ?? randomBytes(2).toString('hex')
  return idOf(keys, chosen, randomBytes(RANDOM_BYTES).toString('base64url'))
}

/**
 * The id that takes the place of one that was minted while Redis was away: always the same one, so that requests that
 * come together agree on it, and as hard to guess for whoever knows the old one.
 */
export function successorOf(keys: RingKeys, { text, address }: SessionId): SessionId {
  const random = createHmac('sha256', keys.pepper).update(`successor\n${text}`).digest('base64url')
  return idOf(keys, address.tag, random)
}

function idOf(keys: RingKeys, chosen: string, random: string): SessionId {
  const signed = `v1.${keys.kid}.${chosen}.${random}`
  return {
    text: `${signed}.${macOf(keys, signed)}`,
    kid: keys.kid,
    address: sessionAddress(keys, chosen, random),
  }
}

/** The id that a text is; undefined for everything that this service did not mint. */
export function readId(ring: SecretRing, text: string): SessionId | undefined {
  if (text.length !== ID_LENGTH) return undefined
  const [, kid, tag, random, mac] = form.exec(text) ?? []
  if (kid === undefined || tag === undefined || random === undefined || mac === undefined) return undefined
  const keys = ring.find(kid)
  if (keys === undefined) return undefined
  const expected = macOf(keys, text.slice(0, -1 - mac.length))
  if (!timingSafeEqual(Buffer.from(mac), Buffer.from(expected))) return undefined
  return { text, kid, address: sessionAddress(keys, tag, random) }
}

function macOf({ signing }: RingKeys, signed: string): string {
  return createHmac('sha256', signing).update(signed).digest().toString('base64url', 0, MAC_BYTES)
}
