// By which id the log and the answers know a request: the one that a proxy or a client gave it, when that is harmless,
// else a new one. Decided once for a request: whoever answers it, Node itself too, names it in the same way.

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const HARMLESS = /^[A-Za-z0-9._-]{8,64}$/
const ID = Symbol('id of the request')

/** What this file needs of a request. */
export interface IdentifiableRequest extends Pick<IncomingMessage, 'headers'> {
  [ID]?: string
}

/** For Fastify's `genReqId`, and for the header that tells it. */
export function requestId(request: IdentifiableRequest): string {
  const known = request[ID]
  if (known !== undefined) return known
  const id = givenId(request.headers) ?? randomUUID()
  request[ID] = id
  return id
}

function givenId(headers: IncomingMessage['headers']): string | undefined {
  for (const given of [headers['x-correlation-id'], headers['x-request-id']]) {
    if (typeof given === 'string' && HARMLESS.test(given)) return given
  }
  return undefined
}
