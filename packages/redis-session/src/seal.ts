/*
 * Sealing: AES-256-GCM with a random nonce of 96 bits (NIST SP 800-38D). What is sealed can be read only with the key,
 * and only where it was put: the context (which field of which session, or which cookie) is authenticated with it.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import type { RandomBytes } from './session-id.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** A text of letters, digits, `-` and `_`. */
export function seal(key: KeyObject, context: string, text: string, randomBytes: RandomBytes): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(context))
  const sealed = [nonce, cipher.update(text, 'utf8'), cipher.final()]
  return Buffer.concat([...sealed, cipher.getAuthTag()]).toString('base64url')
}

/** Undefined for everything that was not sealed with this key for this context. */
export function unseal(key: KeyObject, context: string, sealed: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  try {
    const nonce = bytes.subarray(0, NONCE_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(context))
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    return decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)).toString('utf8') + decipher.final('utf8')
  } catch {
    return undefined
  }
}
