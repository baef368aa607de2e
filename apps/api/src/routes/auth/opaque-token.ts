// Tokens that mean nothing: 256 random bits that only the one they were given to has. What is stored is a digest.
//
// Guarantees: who reads the database has no token; a replay is readable only with the token that it was asked with.

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

/** What a token is for; it begins with that, so that none can be taken for another. */
export type TokenKind = 'refresh' | 'verify' | 'reset'

const PREFIXES: Readonly<Record<TokenKind, string>> = { refresh: 'hfr_', verify: 'hfv_', reset: 'hfp_' }
const SECRET_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** For schemas: a token of this kind, and nothing longer. */
export function tokenPattern(kind: TokenKind): string {
  return `^${PREFIXES[kind]}[A-Za-z0-9_-]{43}$`
}

/** A new token. */
export function mintToken(kind: TokenKind): string {
  return PREFIXES[kind] + randomBytes(SECRET_BYTES).toString('base64url')
}

/** What is stored of a token. No salt: nobody guesses 256 bits. */
export function tokenDigest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** Encloses the successor of a token, so that it can be read with that token alone. */
export function sealSuccessor(token: string, successor: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', sealingKey(token), nonce)
  return Buffer.concat([nonce, cipher.update(successor, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

/** The successor that was enclosed. Throws when this is not the token, or the bytes were changed. */
export function openSuccessor(token: string, sealed: Buffer): string {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(token), nonce, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  const opened = [decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]
  return Buffer.concat(opened).toString('utf8')
}

/** Not the digest, which the database has. */
function sealingKey(token: string): Buffer {
  return Buffer.from(hkdfSync('sha256', token, '', 'holdfast/refresh-successor/v1', 32))
}
