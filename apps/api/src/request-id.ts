// By which id the log and the answers know a request: the one that a proxy or a client gave it, when that is harmless,
// else a new one.

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const HARMLESS = /^[A-Za-z0-9._-]{8,64}$/

/** For Fastify's `genReqId`. */
export function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  for (const given of [headers['x-correlation-id'], headers['x-request-id']]) {
    if (typeof given === 'string' && HARMLESS.test(given)) return given
  }
  return randomUUID()
}
