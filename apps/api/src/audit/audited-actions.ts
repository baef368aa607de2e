// Whatever an operator does by a route under `/admin/` is an entry of the audit log, whoever has made the route: who, what,
// how it was before and how it is now. Entered when the answer is known, also where it failed; never in its way.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { AuditLog } from './audit-log.ts'
import { runAudited } from './audited-request.ts'
import { type OperatorAction, operatorAction, type ReadState, reasonOfRequest } from './operator-actions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Who did what. */
    audit: AuditLog
  }
  interface FastifyContextConfig {
    /** `itself`: the route enters what is done by it, in the transaction that does it. */
    audit?: 'itself'
  }
}

/** Methods that change nothing. */
const HARMLESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
/** A larger answer is no answer of an operator's action. */
const MAX_ANSWER = 65_536
/** Who has come with the token of operators, which is nobody's in particular. */
const TOKEN_HOLDER = 'operator token'

/** Register it before any route below `/admin/`, and behind what states their access. `app.audit` may come later. */
export const auditedActions = fastifyPlugin(
  async (app) => {
    /** What was before, of requests that whoever guards the route has let in. */
    const begun = new WeakMap<FastifyRequest, unknown>()
    app.addHook('onRoute', (route) => {
      const { url, config } = route
      // What is for everybody there is what says that a method is not.
      if (!url.startsWith('/admin/') || config?.access === 'public' || config?.audit === 'itself') return
      const [method] = [route.method].flat()
      if (method === undefined || HARMLESS.has(method)) return
      const action = operatorAction(method, url)
      // Behind all that may refuse the request.
      route.preHandler = [
        ...[route.preHandler ?? []].flat(),
        (request: FastifyRequest, _reply: FastifyReply, done: () => void) => {
          begun.set(request, read(app, request, action.state))
          runAudited(done)
        },
      ]
      // Not `onResponse`: nobody hears of the end of an answer whose client has left.
      route.onSend = [
        ...[route.onSend ?? []].flat(),
        (
          request: FastifyRequest,
          { statusCode }: FastifyReply,
          payload: unknown,
          done: (error: null, payload: unknown) => void,
        ) => {
          if (begun.has(request)) {
            const before = begun.get(request)
            begun.delete(request)
            enter(app, request, action, { before, statusCode, payload })
          }
          done(null, payload)
        },
      ]
    })
  },
  { fastify: '5.x', name: '@holdfast/api/audited-actions', dependencies: ['@holdfast/api/stated-access'] },
)

interface Ended {
  readonly before: unknown
  readonly statusCode: number
  readonly payload: unknown
}

function enter(
  app: FastifyInstance,
  request: FastifyRequest,
  { action, subject, state, told }: OperatorAction,
  { before, statusCode, payload }: Ended,
): void {
  const { principal } = request
  const hasFailed = statusCode >= 400
  const after = read(app, request, state) ?? (told && membersOf(payload, told))
  app.audit.recordSoon(
    {
      actor: principal?.id ?? TOKEN_HOLDER,
      tenant: principal?.tenant,
      action,
      subject: subject?.(request),
      before,
      // It may have taken effect, in part or whole.
      after: hasFailed ? { answered: statusCode, state: after } : after,
      reason: reasonOfRequest(request),
    },
    'action',
  )
}

/** A state that cannot be read keeps no operator from what he does. */
function read(app: FastifyInstance, request: FastifyRequest, state: ReadState | undefined): unknown {
  try {
    return state?.(app, request)
  } catch {
    return undefined
  }
}

/** Of an answer in JSON, those members and no others. */
function membersOf(payload: unknown, names: readonly string[]): unknown {
  if (typeof payload !== 'string' || payload.length > MAX_ANSWER) return undefined
  try {
    const answer = Object(JSON.parse(payload)) as Record<string, unknown>
    return Object.fromEntries(names.map((name) => [name, answer[name]]))
  } catch {
    return undefined
  }
}
