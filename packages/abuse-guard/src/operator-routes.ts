/**
 * The operators' routes as a table: list, explain, block and unblock addresses; list and pardon users. The plugin
 * registers them, and lets in whom `authorize` accepts.
 */
import { wholeSeconds } from '@holdfast/footing'
import type { AbuseGuard } from './abuse-guard.ts'
import type { BlockInfo } from './block-info.ts'
import { InputError, UnknownError } from './errors.ts'
import { inputs, MAX_HOLD_MS } from './options.ts'

/** What an operator asked, as it came. */
export interface Asked {
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
  readonly body: unknown
}

/** What he gets, and what is worth a line in the log. */
export interface Answered {
  readonly statusCode?: number
  readonly body: object
  readonly told?: readonly [details: object, message: string]
}

/** One row. */
export interface OperatorRoute {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  answer(guard: AbuseGuard, asked: Asked): Answered | Promise<Answered>
}

/** The most bytes of a body. */
export const MAX_BODY_BYTES = 4096
const DEFAULT_ITEMS = 20
const MAX_ITEMS = 100

/** The table. */
export const operatorRoutes: readonly OperatorRoute[] = [
  {
    method: 'GET',
    path: '/blocks',
    answer(guard, { query }) {
      const { items, nextCursor } = page(guard.list(), query)
      return { body: { items: items.map(blockBody), next_cursor: nextCursor } }
    },
  },
  {
    method: 'POST',
    path: '/blocks',
    async answer(guard, { body }) {
      const given = membersOf(body)
      inputs.onlyKnown('', given, ['address', 'duration_ms', 'reason'])
      const { address, duration_ms: ms, reason } = given
      if (ms !== undefined) inputs.duration('duration_ms', ms, 1, MAX_HOLD_MS)
      const block = await guard.block(address as string, {
        ...(ms !== undefined && { ms: ms as number }),
        ...(reason !== undefined && { reason: reason as string }),
      })
      return {
        statusCode: 201,
        body: blockBody(block),
        told: [{ address: block.address, reason: block.reason }, 'address blocked by an operator'],
      }
    },
  },
  {
    method: 'DELETE',
    path: '/blocks/:address',
    async answer(guard, { params }) {
      const { lifted, shared } = await guard.unblock(params['address'] ?? '')
      const isEnded = lifted.length > 0
      // As long as the others could not be told, nobody knows whether one of them has a block.
      const willBeTold = !shared && guard.snapshot().fleet !== undefined
      if (!isEnded && !willBeTold) throw new UnknownError('block of this address')
      return {
        statusCode: isEnded ? 200 : 202,
        body: { unblocked: lifted, shared },
        told: [{ addresses: lifted, shared }, 'address unblocked by an operator'],
      }
    },
  },
  {
    method: 'GET',
    path: '/addresses',
    answer: (guard) => ({ body: { items: guard.top(DEFAULT_ITEMS), next_cursor: null } }),
  },
  {
    method: 'GET',
    path: '/addresses/:address',
    answer(guard, { params }) {
      const { block, doubt, ...known } = guard.explain(params['address'] ?? '')
      return {
        body: { ...known, block: block === undefined ? null : blockBody(block), doubt: doubt ?? null },
      }
    },
  },
  {
    method: 'GET',
    path: '/users',
    answer(guard) {
      const { flagged, users, maxEvents, windowMs } = guard.summary()
      const shown = flagged.map(({ sinceMs, ...flag }) => ({ ...flag, since: instant(sinceMs) }))
      return { body: { flagged: shown, users, max_events: maxEvents, window_ms: windowMs } }
    },
  },
  {
    method: 'DELETE',
    path: '/users/:user',
    answer(guard, { params }) {
      const user = params['user'] ?? ''
      if (!guard.unflag(user)) throw new UnknownError('flag of this user')
      return { body: { unflagged: user }, told: [{ user }, 'user pardoned by an operator'] }
    },
  },
]

/** The cursor is the place in the list: what is blocked meanwhile may show an entry twice, which harms nobody. */
function page(all: readonly BlockInfo[], query: Asked['query']) {
  inputs.onlyKnown('', query, ['limit', 'cursor'])
  const { limit = String(DEFAULT_ITEMS), cursor = '0' } = query
  const most = wholeNumber('limit', limit, 1, MAX_ITEMS)
  const from = wholeNumber('cursor', cursor, 0, Number.MAX_SAFE_INTEGER)
  const next = from + most
  return { items: all.slice(from, next), nextCursor: next < all.length ? String(next) : null }
}

function wholeNumber(name: string, text: unknown, min: number, max: number): number {
  const value = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new InputError(name, `a whole number from ${min} to ${max}`, JSON.stringify(text))
}

function membersOf(body: unknown): Readonly<Record<string, unknown>> {
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
    retry_after: wholeSeconds(retryAfterMs),
  }
}

/** RFC 3339, in UTC. */
function instant(atMs: number): string {
  return new Date(atMs).toISOString()
}
