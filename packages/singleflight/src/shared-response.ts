/*
 * Which answers may be given to somebody else, and what of them.
 *
 * Shared is what the handler produced: its status, the headers it set or removed, its body as bytes or text.
 * Not shared is what hooks did for one request before the handler ran (correlation id, CORS, rate-limit
 * headers): each request has its own. An answer is not shared at all when it sets a cookie, says `Vary: *` or
 * `Cache-Control: private` or `no-store`, allows one origin without naming it in `Vary`, or is no plain body;
 * and it is shared only with requests that equal the leader's in every header its `Vary` names (RFC 9110,
 * 12.5.5). A cache must not use a `no-store` answer for another request either (RFC 9111, 5.2.2.5).
 */

type HeaderValue = string | string[] | number | undefined
/** Headers by lower-case name, as Node.js and Fastify give them. */
export interface Headers {
  readonly [name: string]: HeaderValue
  readonly authorization?: string | undefined
  readonly cookie?: string | undefined
  readonly vary?: HeaderValue
}
export type Body = string | Uint8Array | undefined

/** What the handler of the leader changed about the headers. */
export interface HeaderChange {
  readonly set: Headers
  readonly removed: readonly string[]
}

/** What an answer and an error have in common. */
interface Shareable {
  readonly statusCode: number
  readonly headers: HeaderChange
  /** The request headers the answer depends on, with the leader's values. */
  readonly vary: Headers
}

/** How the handler of the leader ended. */
export type ResponseOutcome =
  | (Shareable & { readonly kind: 'response'; readonly body: Body })
  | (Shareable & { readonly kind: 'error'; readonly error: unknown })
  /** The answer is for the leader alone: everybody else runs the handler. */
  | { readonly kind: 'unshareable' }
  /** The handler failed after its client had gone: the next one leads. */
  | { readonly kind: 'leader-left' }

/** Headers that are one request's own even when the handler sets them. Lower case. */
export const PER_REQUEST_HEADERS: readonly string[] = [
  'connection',
  'correlation-id',
  'date',
  'keep-alive',
  'request-id',
  'server-timing',
  'traceparent',
  'tracestate',
  'trailer',
  'transfer-encoding',
  'x-correlation-id',
  'x-request-id',
]

const preconditions = [
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
]

/** Whether a request says who sends it. */
export function carriesCredentials(headers: Headers): boolean {
  return headers.authorization !== undefined || headers.cookie !== undefined
}

/** The conditional and range headers, as one text; undefined when there are none. Equal texts may share a 304. */
export function preconditionsOf(headers: Headers): string | undefined {
  let text: string | undefined
  for (const name of preconditions) {
    const value = headers[name]
    if (value !== undefined) text = `${text ?? ''}${name}:${value}\n`
  }
  return text
}

/** The headers of this moment: Fastify adds a second cookie to the array of the first. */
export function copyHeaders(headers: Headers): Headers {
  const copies = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? [...value] : value,
  ])
  return Object.fromEntries(copies)
}

/** What changed between the headers before the handler and after it, without those that are one request's own. */
export function changeOf(before: Headers, after: Headers, perRequest: ReadonlySet<string>): HeaderChange {
  const set: Record<string, HeaderValue> = {}
  for (const [name, value] of Object.entries(after)) {
    if (value !== undefined && !isSame(value, before[name]) && !perRequest.has(name)) set[name] = value
  }
  const removed = Object.keys(before).filter((name) => after[name] === undefined && !perRequest.has(name))
  return { set, removed }
}

/** Whether an answer with these headers may reach anybody but the leader. `shared`: the route vouches for it. */
export function isShareable(change: HeaderChange, after: Headers, shared: boolean): boolean {
  // A cookie that a hook set before the handler ran is one request's own: each has set its own.
  if (change.set['set-cookie'] !== undefined) return false
  const vary = tokens(after.vary)
  if (vary.includes('*')) return false
  if (shared) return true
  if (allowsOneOrigin(change) && !vary.includes('origin')) return false
  return !tokens(after['cache-control']).some((directive) => /^(private|no-store)(=|$)/.test(directive))
}

/**
 * The request headers `Vary` names, with the values of this request. `Origin` does not count when a hook named
 * it before the handler ran, and the handler allows no origin itself: the CORS headers are the work of that
 * hook, and each request has its own.
 */
export function varyOf(before: Headers, change: HeaderChange, after: Headers, request: Headers): Headers {
  const byHook = tokens(before.vary).includes('origin') && !allowsOneOrigin(change)
  const names = tokens(after.vary).filter((name) => name !== 'origin' || !byHook)
  return Object.fromEntries(names.map((name) => [name, request[name]]))
}

/** Whether an answer made for `vary` is right for a request with these headers. */
export function suits(vary: Headers, request: Headers): boolean {
  return Object.entries(vary).every(([name, value]) => isSame(request[name], value))
}

/** Whether the handler itself said that pages of one origin may read the answer. */
function allowsOneOrigin(change: HeaderChange): boolean {
  const origin = change.set['access-control-allow-origin']
  return origin !== undefined && origin !== '*'
}

/** An absent header equals nothing but an absent one, not even the text 'undefined'. */
function isSame(one: HeaderValue, other: HeaderValue): boolean {
  return one === undefined || other === undefined ? one === other : String(one) === String(other)
}

/** The body as it can be shared, or undefined when it cannot be known yet (an object) or at all (a stream). */
export function plainBody(payload: unknown): { readonly body: Body } | undefined {
  if (payload === undefined || typeof payload === 'string') return { body: payload }
  return payload instanceof Uint8Array ? { body: payload } : undefined
}

/** Whether Fastify will serialize this payload: neither plain body nor stream, web stream or Response. */
export function isSerialized(payload: unknown): boolean {
  if (typeof payload !== 'object' || payload === null) return typeof payload !== 'function'
  return !('pipe' in payload || 'getReader' in payload || payload instanceof Response)
}

function tokens(value: HeaderValue): string[] {
  if (value === undefined) return []
  return String(value)
    .toLowerCase()
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== '')
}
