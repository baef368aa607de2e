// Tokens whose signature was verified: whoever asks often is verified once, since what a signature says never changes.
// Until when a token is good is for the caller to ask, each time. What is kept is a digest, of no use to a thief.

import { hash } from 'node:crypto'
import type { AccessClaims } from './access-token.ts'

/** What a token says, and of when it is, in seconds since the epoch. */
export interface VerifiedToken {
  readonly claims: AccessClaims
  readonly issuedAt: number
  readonly expiresAt: number
}

const MAX_TOKENS = 10_000

export class VerifiedTokens {
  readonly #maxTokens: number
  /** By their digests; those that were not asked for the longest come first. */
  readonly #tokens = new Map<string, VerifiedToken>()

  /** `maxTokens` defaults to 10,000. */
  constructor(maxTokens = MAX_TOKENS) {
    this.#maxTokens = maxTokens
  }

  get size(): number {
    return this.#tokens.size
  }

  find(token: string): VerifiedToken | undefined {
    const digest = digestOf(token)
    const found = this.#tokens.get(digest)
    if (found === undefined) return undefined
    this.#tokens.delete(digest)
    this.#tokens.set(digest, found)
    return found
  }

  keep(token: string, verified: VerifiedToken): void {
    this.#tokens.set(digestOf(token), verified)
    const oldest = this.#tokens.keys().next()
    if (this.#tokens.size > this.#maxTokens && !oldest.done) this.#tokens.delete(oldest.value)
  }
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64url')
}
