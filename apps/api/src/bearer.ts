import { bearerCheck } from '@holdfast/footing'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiUnauthorizedError } from './errors.ts'
import type { Secret } from './secret.ts'

/**
 * Answers whether a request carries `Authorization: Bearer <token>`. Without a token nobody is let in. `onWrong` is told
 * who sent another one; who sent none has not tried.
 */
export function bearerGuard(
  token: Secret | undefined,
  onWrong: (request: FastifyRequest) => void,
): (request: FastifyRequest) => boolean {
  const check = bearerCheck(token?.reveal())
  return (request) => {
    const verdict = check(request.headers.authorization)
    if (verdict === 'wrong') onWrong(request)
    return verdict === 'right'
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
