import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiUnauthorizedError } from './errors.ts'
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

/** A hook that answers 401 to whom `authorize` does not let in. */
export function requireBearer(realm: string, authorize: (request: FastifyRequest) => boolean) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (authorize(request)) return
    reply.header('www-authenticate', `Bearer realm="${realm}"`)
    throw new ApiUnauthorizedError()
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
