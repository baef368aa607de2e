// POST /api/strategies/validate: whether a text is a strategy, and if not, where it is wrong. Asks nobody.

import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { ApiStrategyNotTextError } from '../../errors.ts'
import { memberOfAnotherKind } from '../../member-kinds.ts'
import { strategyOf } from '../../strategy/strategy.ts'
import { StrategyError } from '../../strategy/strategy-error.ts'
import { VALIDATE_SCHEMA } from './strategy-operation.ts'

/** Four bytes for each character of a text that is just too long, escaped, and the rest of the document. */
const MAX_BODY_BYTES = 16_384

interface ValidateRoute {
  Body: { strategy: string }
}

/** What `POST /api/strategies/validate` answers. */
export type StrategyVerdict =
  | { readonly valid: true; readonly window: number; readonly steps: number }
  | { readonly valid: false; readonly error: StrategyFault }

/** Where a text is no strategy, and why. */
export interface StrategyFault {
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  readonly message: string
}

/** The route. */
export const strategies: FastifyPluginCallback = (app, _options, done) => {
  app.post<ValidateRoute>(
    '/api/strategies/validate',
    {
      config: {
        access: 'user',
        tenantRateLimit: { policy: [{ policy: 'creation', by: 'user' }, 'tenant-bots'] },
      },
      bodyLimit: MAX_BODY_BYTES,
      preValidation: textOnly,
      schema: VALIDATE_SCHEMA,
    },
    async (request, reply): Promise<StrategyVerdict> => {
      reply.header('cache-control', 'no-store')
      return verdictOf(request.body.strategy)
    },
  )
  done()
}

function verdictOf(text: string): StrategyVerdict {
  try {
    const { window, steps } = strategyOf(text)
    return { valid: true, window, steps }
  } catch (error) {
    if (!(error instanceof StrategyError)) throw error
    const { line, column, message } = error
    return { valid: false, error: { line, column, message } }
  }
}

function textOnly({ body }: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
  const wrong = memberOfAnotherKind(body, { strategy: 'string' })
  done(wrong === undefined ? undefined : new ApiStrategyNotTextError())
}
