// What a connection may take before anybody looks at what it wants: time and bytes. The same for both ports.

import type { IncomingMessage, Server } from 'node:http'
import type { Logs } from '@holdfast/logging'
import type { FastifyHttpOptions, FastifyRequest } from 'fastify'
import type { Config } from './config.ts'
import { securedResponse } from './secured-response.ts'

/** Path and headers together; Node's own default, which must not change unnoticed. */
const MAX_HEADER_BYTES = 16_384
const ARRIVAL_CHECK_MS = 1000

/** For `Fastify()`. `headers` protect every answer, and the ids of `logs` name its request. */
export function serverBounds(
  {
    requestTimeoutMs,
    handlerTimeoutMs,
    maxRequestsPerSocket,
  }: Pick<Config, 'requestTimeoutMs' | 'handlerTimeoutMs' | 'maxRequestsPerSocket'>,
  headers: Readonly<Record<string, string>>,
  logs: Logs<FastifyRequest>,
) {
  return {
    genReqId: (request: IncomingMessage) => logs.scopeOf(request).correlationId,
    requestTimeout: requestTimeoutMs,
    // Whoever reads is never silent for so long: who asks and does not read would keep his connection for ever.
    connectionTimeout: requestTimeoutMs + handlerTimeoutMs,
    maxRequestsPerSocket,
    // While closing, what still arrives on open connections is served.
    return503OnClosing: false,
    http: {
      // Node takes the longer of the two times for the whole request, whichever was meant.
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: ARRIVAL_CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
      ServerResponse: securedResponse(headers, (request) => logs.idHeadersOf(request)),
    },
  } satisfies FastifyHttpOptions<Server>
}
