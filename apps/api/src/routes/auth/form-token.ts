// Tokens for forms: bound to a session, so that one that was obtained with another session, or planted as a cookie, is
// worth nothing. Nothing is stored.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const NONCE_BYTES = 12
const FORM = /^[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{43}$/

/** Makes tokens and recognises them, with one key or, while that is replaced, several. */
export class FormTokens {
  readonly #keys: readonly [Buffer, ...Buffer[]]

  constructor(keys: readonly [Buffer, ...Buffer[]]) {
    this.#keys = keys
  }

  /** A token for pages of this session. It ends with the session's id, so at the next sign-in. */
  issue(sessionId: string): string {
    const nonce = randomBytes(NONCE_BYTES).toString('base64url')
    return `${nonce}.${mac(this.#keys[0], sessionId, nonce).toString('base64url')}`
  }

  /** Whether a token was issued for this session. */
  isFor(sessionId: string, token: unknown): boolean {
    if (typeof token !== 'string' || !FORM.test(token)) return false
    const [nonce = '', given = ''] = token.split('.')
    const bytes = Buffer.from(given, 'base64url')
    return this.#keys.some((key) => timingSafeEqual(mac(key, sessionId, nonce), bytes))
  }
}

function mac(key: Buffer, sessionId: string, nonce: string): Buffer {
  return createHmac('sha256', key).update(`${sessionId.length}:${sessionId}:${nonce}`).digest()
}
