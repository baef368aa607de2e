/*
 * A port for collectors in a process that serves nothing else, such as the primary of a cluster: it answers while all
 * workers are busy. `GET /metrics`, to who has the token, where there is one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { bearerCheck } from '@holdfast/footing'
import { CONTENT_TYPES, type Format, formatOf } from './accept.ts'

/** Who is answered. */
export interface CollectorSettings {
  /** Without one, everybody who reaches the port may read. */
  readonly token?: string
  readonly path?: string
}

const MAX_CONNECTIONS = 100
const REQUEST_MS = 5000
/** Node looks for those who are too slow every 30 s by itself: so long, `MAX_CONNECTIONS` of them would lock the collector out. */
const LOOK_MS = 1000

/** A server that is not listening yet. */
export function collectorServer(
  text: (format: Format) => string,
  { token, path = '/metrics' }: CollectorSettings = {},
): Server {
  const check = bearerCheck(token)
  const mayRead = (authorization: string | undefined) =>
    token === undefined || check(authorization) === 'right'
  const server = createServer(
    {
      requestTimeout: REQUEST_MS,
      headersTimeout: REQUEST_MS,
      connectionsCheckingInterval: LOOK_MS,
      maxHeaderSize: 8192,
    },
    ({ url = '', method, headers }: IncomingMessage, response: ServerResponse) => {
      const answer = (status: number, type: string, body: string, more: Record<string, string> = {}) => {
        response
          .writeHead(status, {
            'content-type': type,
            'cache-control': 'no-store',
            'x-content-type-options': 'nosniff',
            'content-length': Buffer.byteLength(body),
            ...more,
          })
          .end(body)
      }
      const plain = 'text/plain; charset=utf-8'
      if (url.split('?', 1)[0] !== path) return answer(404, plain, 'nothing is here\n')
      if (method !== 'GET' && method !== 'HEAD')
        return answer(405, plain, 'read only\n', { allow: 'GET, HEAD' })
      if (!mayRead(headers.authorization)) {
        return answer(401, plain, 'send the token\n', { 'www-authenticate': 'Bearer realm="metrics"' })
      }
      const format = formatOf(headers.accept)
      return answer(200, CONTENT_TYPES[format], text(format), { vary: 'accept' })
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  return server
}
