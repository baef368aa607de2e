import { bearerCheck, systemClock } from '@holdfast/footing'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { refusal } from './access-rule.ts'
import { ApiUnauthorizedError } from './errors.ts'
import { challenge } from './plugins/identity.ts'
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

/** A hook that lets in whom `authorize` does, and tells everybody else what he lacks: the role, a new sign-in, or the token. */
export function requireOperator(authorize: (request: FastifyRequest) => boolean) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (authorize(request)) return
    const { principal } = request
    const nowMs = systemClock.wallMs()
    const lacks = principal === null ? undefined : refusal('admin', principal, { tenant: undefined, nowMs })
    const error = lacks ?? new ApiUnauthorizedError()
    challenge(error, reply, 'admin')
    throw error
  }
}
