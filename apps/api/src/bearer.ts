import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Secret } from './secret.ts'

/**
 * Answers whether a request carries `Authorization: Bearer <token>`, in a time that does not depend on how much
 * of the token is right. Without a token nobody is let in.
 */
export function bearerGuard(token: Secret | undefined): (request: FastifyRequest) => boolean {
  const expected = token && digest(token.reveal())
  return ({ headers }) => {
    const given = /^Bearer +(\S{1,4096}) *$/i.exec(headers.authorization ?? '')?.[1]
    // Digests have one length, which is what the comparison needs and what keeps the token's length secret.
    return expected !== undefined && given !== undefined && timingSafeEqual(digest(given), expected)
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
