// The management port where there are workers: in the primary, which answers while all of them are busy. Metrics it has
// itself, everything else is what a worker says.

import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { answerBare, type BareSocket, canAnswer, statusOfUnread } from '@holdfast/footing'
import { CONTENT_TYPES, type Format, formatOf } from '@holdfast/metrics'
import type { Config } from './config.ts'
import { ApiManagementListenError } from './errors.ts'
import { reasonOf } from './reason.ts'
import { ID_HEADER, securedResponse } from './secured-response.ts'
import type { InsideAnswer, Question } from './worker-messages.ts'

const MAX_CONNECTIONS = 100
const REQUEST_MS = 5000
/** By itself Node looks for those who are too slow every 30 s: so long, `MAX_CONNECTIONS` of them would lock probes out. */
const LOOK_MS = 1000
const MAX_HEADER_BYTES = 16_384
const METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'] satisfies Question['method'][]

/** Who answers. */
export interface InsideParts {
  /** The metrics of all workers; undefined: there are none. */
  readonly metrics: ((format: Format) => string) | undefined
  readonly ask: (question: Omit<Question, 'kind' | 'id'>) => Promise<InsideAnswer>
  /** Of every answer. */
  readonly headers: Readonly<Record<string, string>>
}

/** A server that does not listen yet. */
export function insideServer({ metrics, ask, headers }: InsideParts): Server {
  const answerOf = async ({ method = '', url = '/', headers }: IncomingMessage): Promise<InsideAnswer> => {
    const { accept } = headers
    if (!isAsked(method)) return plain(405, 'read only\n', { allow: METHODS.join(', ') })
    if (metrics !== undefined && method !== 'OPTIONS' && url.split('?', 1)[0] === '/metrics') {
      const format = formatOf(accept)
      return {
        ...plain(200, metrics(format), { vary: 'accept' }),
        headers: { 'content-type': CONTENT_TYPES[format], 'cache-control': 'no-store', vary: 'accept' },
      }
    }
    return ask({ method, url, accept })
  }
  const idOf = () => ({ [ID_HEADER]: randomUUID() })
  const ServerResponse = securedResponse(headers, idOf)
  const server = createServer(
    {
      requestTimeout: REQUEST_MS,
      headersTimeout: REQUEST_MS,
      connectionsCheckingInterval: LOOK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      ServerResponse,
    },
    (request: IncomingMessage, response: ServerResponse) => {
      const send = ({ status, headers, body }: InsideAnswer) => {
        response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers }).end(body)
      }
      // Whatever is wrong with an answer must not end the one process that all others hang on.
      answerOf(request)
        .then(send)
        .catch(() => response.destroy())
    },
  )
  server.on('clientError', (error: NodeJS.ErrnoException, socket: BareSocket) => {
    if (!canAnswer(error.code, socket)) {
      socket.destroy()
      return
    }
    const answer = plain(statusOfUnread(error), 'this cannot be read\n')
    answerBare(socket, { ...answer, headers: { ...headers, ...idOf(), ...answer.headers } })
  })
  server.maxConnections = MAX_CONNECTIONS
  return server
}

/** Listens where MANAGEMENT_PORT says. Raises `HOLDFAST_ERR_API_MANAGEMENT_LISTEN`. */
export function listenInside(server: Server, { apiHost, managementPort }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(new ApiManagementListenError(`${apiHost}:${managementPort}`, reasonOf(cause), { cause }))
    server.once('error', fail)
    server.listen(managementPort, apiHost, () => {
      server.off('error', fail)
      resolve()
    })
  })
}

function isAsked(method: string): method is Question['method'] {
  return METHODS.includes(method)
}

function plain(status: number, body: string, more: Readonly<Record<string, string>> = {}): InsideAnswer {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', ...more },
    body,
  }
}
