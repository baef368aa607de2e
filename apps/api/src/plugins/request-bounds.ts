// What a request may be before anybody looks at what it wants: one that two servers could read in two ways is refused,
// and its connection ends; so is an address that is too long. Bodies are JSON, neither deep nor wide.

import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { ApiAddressTooLongError, ApiAmbiguousRequestError, ApiBodyUnboundedError } from '../errors.ts'
import { exceeds, type JsonBounds } from '../json-bounds.ts'

/** RFC 9110, 4.1 asks for at least 8,000. */
const MAX_URL = 8192
const BOUNDS: JsonBounds = { maxDepth: 32, maxValues: 10_000 }
/** RFC 3986, 3.2.2, without a comma, with which some servers join two of them; an empty one is allowed. */
const HOST = /^(?:[\w.~%!$&'()*+;=-]*|\[[\da-f:.]+\])(?::\d*)?$/i

/** What is configured of the bounds. */
export interface RequestBoundsOptions {
  /** Most bytes of a body; a route may have a lower limit of its own, and no higher one. */
  readonly maxRequestBytes: number
}

/** Register it before whatever answers: its hook comes before theirs. */
export const requestBounds = fastifyPlugin<RequestBoundsOptions>(
  (app, { maxRequestBytes }, done) => {
    app.addHook('onRoute', (route) => {
      if (route.bodyLimit !== undefined) route.bodyLimit = Math.min(route.bodyLimit, maxRequestBytes)
    })
    app.addHook('onRequest', (request, reply, next) => {
      const { raw } = request
      const wrong = ambiguityOf(raw)
      if (wrong !== undefined) next(ending(reply, new ApiAmbiguousRequestError(wrong)))
      else if ((raw.url ?? '').length > MAX_URL) next(ending(reply, new ApiAddressTooLongError()))
      else next()
    })
    // Text would reach a schema that never fits it.
    app.removeContentTypeParser(['text/plain', 'application/json'])
    const parse = app.getDefaultJsonParser('error', 'error')
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, parsed) => {
      // A script that names the type of every body names it for a DELETE, too, which has none.
      if (body === '' && request.method === 'DELETE') parsed(null)
      else if (exceeds(String(body), BOUNDS))
        parsed(new ApiBodyUnboundedError(BOUNDS.maxDepth, BOUNDS.maxValues))
      else parse(request, String(body), parsed)
    })
    done()
  },
  { fastify: '5.x', name: '@holdfast/api/request-bounds' },
)

/** Why two servers could disagree about where this request ends, for whom it is (RFC 9112, 3.2 and 6.1), or from whom. */
function ambiguityOf({
  rawHeaders,
  headers,
  url = '',
  httpVersionMajor,
  httpVersionMinor,
}: IncomingMessage): string | undefined {
  // Node's parser reads HTTP/2.0 as if it were 1.0.
  if (httpVersionMajor !== 1) return 'its version is not HTTP/1'
  let hosts = 0
  let credentials = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    if (name.length === 13 && name.toLowerCase() === 'authorization') credentials++
  }
  if (hosts > 1) return 'it has more than one Host'
  if (credentials > 1) return 'it has more than one Authorization'
  if (hosts === 0 && httpVersionMinor > 0) return 'it has no Host'
  if (!HOST.test(headers.host ?? '')) return 'its Host is not the name of a host'
  if (!url.startsWith('/') && isForAnother(url, headers.host ?? '')) return 'its target and its Host differ'
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  if (coding.toLowerCase() !== 'chunked') return 'its Transfer-Encoding is not chunked'
  return httpVersionMinor === 0 ? 'HTTP/1.0 has no Transfer-Encoding' : undefined
}

/** Of a target that names its host, as proxies get it, another one than `Host` does. */
function isForAnother(url: string, host: string): boolean {
  const named = /^[a-z]{1,10}:\/\/([^/?#]*)/i.exec(url)?.[1]
  return named !== undefined && named.toLowerCase() !== host.toLowerCase()
}

/** What comes after it on the same connection is not believed either. */
function ending(reply: FastifyReply, error: Error): Error {
  reply.header('connection', 'close')
  return error
}
