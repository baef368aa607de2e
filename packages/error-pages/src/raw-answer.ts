// Answers to what is no request that Node can read, and so never becomes one that Fastify sees: written to the socket
// as text, and the connection ends.

import { type Failure, failureOf } from './failure.ts'
import { PROBLEM_TYPE } from './problem.ts'

/** What this file needs of a socket. */
export interface SocketLike {
  readonly writable: boolean
  end(text: string, done: () => void): unknown
  destroy(): unknown
}

/** What Node's parser could not read, by its code. */
export function failureOfParser(code: unknown): Failure {
  const { status, detail } = UNREADABLE.get(code) ?? { status: 400, detail: 'This is not an HTTP request.' }
  return failureOf(undefined, { status, detail })
}

/** A whole HTTP answer as text. */
export function answerText(
  { status }: Failure,
  title: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): string {
  const own = {
    ...headers,
    'content-type': PROBLEM_TYPE,
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  }
  const lines = Object.entries(own).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${title}`, ...lines, '', body].join('\r\n')
}

/** Whether an answer to an earlier request is on its way through this socket: nothing may be written into it. */
export function isAnswering(socket: SocketLike): boolean {
  // Node's own handler looks at the same member; where it is missing, nothing is known to be on its way.
  const { _httpMessage } = socket as { readonly _httpMessage?: { readonly headersSent?: boolean } | null }
  return _httpMessage?.headersSent === true
}

const UNREADABLE: ReadonlyMap<unknown, { readonly status: number; readonly detail: string }> = new Map([
  ['HPE_HEADER_OVERFLOW', { status: 431, detail: 'The path and the headers are too long.' }],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', { status: 413, detail: 'The body is larger than this service takes.' }],
  ['ERR_HTTP_REQUEST_TIMEOUT', { status: 408, detail: 'The request took too long to arrive.' }],
])
