import { Authorisation, type Clock } from '@holdfast/footing'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { AbuseGuard, BlockInfo } from './abuse-guard.ts'
import { ForbiddenError, InputError, UnauthenticatedError, UnknownError } from './errors.ts'
import type { ResolvedOptions } from './options.ts'

type AdminSettings = NonNullable<ResolvedOptions<FastifyRequest>['admin']> & { readonly clock: Clock }

const BODY_BYTES = 4096
const DEFAULT_ITEMS = 20
const MAX_ITEMS = 100

/**
 * The operators' routes: list, explain, block and unblock addresses; list and pardon users. Nobody may use them without
 * `authorize`. An operator whose own address is blocked gets through, so that nobody is locked out of the way back.
 */
export async function adminRoutes(app: FastifyInstance, guard: AbuseGuard, settings: AdminSettings): Promise<void> {
  const { prefix, authorize, authorizeTimeoutMs, clock } = settings
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, clock)

  await app.register(
    async (scope) => {
      scope.addHook('onRoute', (route) => {
        route.config = { ...route.config, abuseGuard: { admitBlocked: true } }
        route.bodyLimit ??= BODY_BYTES
      })
      // As late as possible, so that `authorize` can read what the application's own hooks found out.
      scope.addHook('preHandler', (request, _reply, done) => {
        authorisation.decide(request, (authorised) => {
          if (authorised) done()
          else if (authorisation.possible && request.headers.authorization === undefined) {
            done(new UnauthenticatedError())
          } else done(new ForbiddenError())
        })
      })

      scope.get('/blocks', async (request, reply) => {
        void reply.header('cache-control', 'no-store')
        const { items, nextCursor } = page(guard.list(), request.query as PageQuery)
        return { items: items.map(blockBody), next_cursor: nextCursor }
      })

      scope.post('/blocks', async (request, reply) => {
        const { address, duration_ms: ms, reason } = bodyOf(request)
        const block = await guard.block(address as string, {
          ...(ms !== undefined && { ms: ms as number }),
          ...(reason !== undefined && { reason: reason as string }),
        })
        request.log.warn({ address: block.address, reason: block.reason }, 'address blocked by an operator')
        return reply.code(201).send(blockBody(block))
      })

      scope.delete('/blocks/:address', async (request) => {
        const { address } = request.params as { address: string }
        const { lifted, shared } = await guard.unblock(address)
        if (lifted.length === 0) throw new UnknownError('block of this address')
        request.log.warn({ addresses: lifted, shared }, 'address unblocked by an operator')
        return { unblocked: lifted, shared }
      })

      scope.get('/addresses', async (_request, reply) => {
        void reply.header('cache-control', 'no-store')
        return { items: guard.top(DEFAULT_ITEMS), next_cursor: null }
      })

      scope.get('/addresses/:address', async (request, reply) => {
        const { address } = request.params as { address: string }
        const { block, doubt, ...known } = guard.explain(address)
        void reply.header('cache-control', 'no-store')
        return { ...known, block: block === undefined ? null : blockBody(block), doubt: doubt ?? null }
      })

      scope.get('/users', async (_request, reply) => {
        void reply.header('cache-control', 'no-store')
        const { flagged, users, maxEvents, windowMs } = guard.summary()
        return {
          flagged: flagged.map(({ sinceMs, ...flag }) => ({ ...flag, since: instant(sinceMs) })),
          users,
          max_events: maxEvents,
          window_ms: windowMs,
        }
      })

      scope.delete('/users/:user', async (request) => {
        const { user } = request.params as { user: string }
        if (!guard.unflag(user)) throw new UnknownError('flag of this user')
        request.log.warn({ user }, 'user pardoned by an operator')
        return { unflagged: user }
      })
    },
    { prefix },
  )
}

interface PageQuery {
  readonly limit?: string
  readonly cursor?: string
}

/** The cursor is the place in the list: what is blocked meanwhile may show an entry twice, which harms nobody. */
function page(all: readonly BlockInfo[], { limit, cursor }: PageQuery) {
  const most = wholeNumber('limit', limit ?? String(DEFAULT_ITEMS), 1, MAX_ITEMS)
  const from = wholeNumber('cursor', cursor ?? '0', 0, Number.MAX_SAFE_INTEGER)
  const next = from + most
  return { items: all.slice(from, next), nextCursor: next < all.length ? String(next) : null }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new InputError(name, `a whole number from ${min} to ${max}`, JSON.stringify(text))
}

function bodyOf({ body }: FastifyRequest): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InputError('body', 'an object with "address", "duration_ms" and "reason"', typeof body)
  }
  return body as Record<string, unknown>
}

function blockBody({ sinceMs, untilMs, retryAfterMs, ...block }: BlockInfo): object {
  return {
    ...block,
    since: instant(sinceMs),
    until: instant(untilMs),
    retry_after: Math.max(1, Math.ceil(retryAfterMs / 1000)),
  }
}

/** RFC 3339, in UTC. */
function instant(atMs: number): string {
  return new Date(atMs).toISOString()
}
