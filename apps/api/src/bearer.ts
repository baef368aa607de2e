import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiUnauthorizedError } from './errors.ts'
import type { Secret } from './secret.ts'

/**
 * Answers whether a request carries `Authorization: Bearer <token>`, in a time that does not depend on how much
 * of the token is right. Without a token nobody is let in. `onWrong` is told who sent another one; who sent none has not
 * tried.
 */
export function bearerGuard(
  token: Secret | undefined,
  onWrong: (request: FastifyRequest) => void,
): (request: FastifyRequest) => boolean {
  const expected = token && digest(token.reveal())
  return (request) => {
    const given = /^Bearer +(\S{1,4096}) *$/i.exec(request.headers.authorization ?? '')?.[1]
    if (expected === undefined || given === undefined) return false
    // Digests have one length, which is what the comparison needs and what keeps the token's length secret.
    if (timingSafeEqual(digest(given), expected)) return true
    onWrong(request)
    return false
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
