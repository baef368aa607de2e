// How a password hash is written down: PHC strings for argon2id, and the strings of bcrypt, which are only read.
// Guarantees that what it reads is within bounds, so that a row of the database cannot make the service take a
// gigabyte for one verification.

/** What one argon2id computation takes (RFC 9106). */
export interface Argon2Cost {
  readonly memoryKib: number
  readonly passes: number
  readonly lanes: number
}

/** A stored hash that can be verified. */
export type StoredHash =
  | { readonly scheme: 'argon2id'; readonly cost: Argon2Cost; readonly salt: Buffer; readonly tag: Buffer }
  | { readonly scheme: 'bcrypt'; readonly text: string }

const ARGON2 =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
const MAX_MEMORY_KIB = 1_048_576
const MAX_PASSES = 16
const MAX_LANES = 16
/** 2^14 rounds take more than a second. */
const MAX_BCRYPT_COST = 14

/** `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<tag>` */
export function argon2Text({ memoryKib, passes, lanes }: Argon2Cost, salt: Buffer, tag: Buffer): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${plain(salt)}$${plain(tag)}`
}

/** Reads a hash; undefined when it is none, or takes more than this service is willing to spend. */
export function readHash(text: string): StoredHash | undefined {
  const bcrypt = BCRYPT.exec(text)
  if (bcrypt !== null) {
    const cost = Number(bcrypt[1])
    return cost >= 4 && cost <= MAX_BCRYPT_COST ? { scheme: 'bcrypt', text } : undefined
  }
  const [, m, t, p, salt = '', tag = ''] = ARGON2.exec(text) ?? []
  const cost = { memoryKib: Number(m), passes: Number(t), lanes: Number(p) }
  const { memoryKib, passes, lanes } = cost
  const fits =
    passes >= 1 &&
    passes <= MAX_PASSES &&
    lanes >= 1 &&
    lanes <= MAX_LANES &&
    memoryKib >= 8 * lanes &&
    memoryKib <= MAX_MEMORY_KIB
  if (!fits) return undefined
  return { scheme: 'argon2id', cost, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}

/** PHC strings have no padding. */
function plain(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
