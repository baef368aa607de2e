// Answers to what is no request that Node can read, and so never becomes one that a server sees: written to the bare
// socket, and the connection ends.

import { STATUS_CODES } from 'node:http'

/** What this file needs of a socket. */
export interface BareSocket {
  readonly writable: boolean
  end(text: string, done: () => void): unknown
  destroy(): unknown
}

/** What is written to it. */
export interface BareAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const STATUSES: ReadonlyMap<unknown, number> = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
  ['HPE_HEADER_OVERFLOW', 431],
])

/** The status for an error of `clientError`: 408, 413 or 431 by its code, one that it says itself, else 400. */
export function statusOfUnread(error: unknown): number {
  const { code, statusCode = STATUSES.get(code) ?? 400 } = Object(error) as {
    readonly code?: unknown
    readonly statusCode?: number
  }
  return statusCode
}

/** The response that this connection is at; undefined where no request waits for one. */
export function responseOn(socket: object): { readonly headersSent?: boolean } | undefined {
  // Node's own handler looks at the same member; where it is missing, nothing is known to be on its way.
  const { _httpMessage } = socket as { readonly _httpMessage?: { readonly headersSent?: boolean } | null }
  return _httpMessage ?? undefined
}

/** Whether anything can be written in answer to an error of this code: not into an answer that is under way. */
export function canAnswer(code: unknown, socket: BareSocket): boolean {
  return code !== 'ECONNRESET' && socket.writable && responseOn(socket)?.headersSent !== true
}

/** Writes a whole HTTP answer, and ends the connection. */
export function answerBare(socket: BareSocket, { status, headers, body }: BareAnswer): void {
  const all = { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  const text = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', body].join('\r\n')
  socket.end(text, () => socket.destroy())
}
