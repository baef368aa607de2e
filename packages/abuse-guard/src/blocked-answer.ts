import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RefusalPage, type Refused, wholeSeconds } from '@holdfast/footing'
import { BlockedError } from './errors.ts'

const { code, message } = new BlockedError()

/**
 * The problem document (RFC 9457) of a blocked client, up to the one number in it. The type is one of those that the
 * draft of the RateLimit headers registers.
 */
const BODY = `${JSON.stringify({
  type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
  title: 'Too Many Requests',
  status: 429,
  error: code,
  detail: message,
}).slice(0, -1)},"retry_after":`

/** What his answer depends on. */
export interface BlockedClient {
  readonly retryAfterMs: number
  /** The page for him, if he wants one. */
  readonly pageOf: (refused: Refused) => RefusalPage | undefined
}

/**
 * Answers a blocked client without looking at anything else of its request, past Fastify's sending. A body that is
 * still on its way is not waited for: then the connection ends with the answer. Otherwise it stays, because a new one
 * would cost more than a refusal, and because a proxy may use it for others.
 */
export function answerBlocked(
  request: IncomingMessage,
  response: ServerResponse,
  { retryAfterMs, pageOf }: BlockedClient,
): void {
  const retryAfterSeconds = wholeSeconds(retryAfterMs)
  const page = pageOf({ statusCode: 429, code, message, retryAfterSeconds })
  const body = page?.body ?? `${BODY}${retryAfterSeconds}}`
  const headers: Record<string, string | number> = {
    'content-type': 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store',
    ...page?.headers,
    'retry-after': retryAfterSeconds,
    'content-length': Buffer.byteLength(body),
  }
  if (request.httpVersionMajor === 1 && bringsBody(request)) headers['connection'] = 'close'
  response.writeHead(429, headers).end(body)
}

function bringsBody({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true
  const length = headers['content-length']
  return length !== undefined && length !== '0'
}
