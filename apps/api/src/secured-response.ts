// The one writer of the headers that protect, and of those that name the request: a response that carries them
// whoever answers, so also where no plugin is asked: paths that cannot be decoded, hijacked replies, what Node answers
// itself. The values that protect are constant, and a name that the answer sets itself stays as the answer has it; the ids
// are those of its line in the log, whatever the answer says of them.

import {
  IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http'
import { Socket } from 'node:net'

type Given = OutgoingHttpHeaders | OutgoingHttpHeader[]

/** The header by which an answer names its request. */
export const ID_HEADER = 'x-correlation-id'

/** A class for the option `ServerResponse` of `http.createServer`. Names must be in lower case. */
export function securedResponse(
  headers: Readonly<Record<string, string>>,
  idsOf: (request: IncomingMessage) => Readonly<Record<string, string>>,
): typeof ServerResponse {
  const constant = Object.entries(headers).flat()
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  }
  // Of the same text for every answer Node would look at each name and value again.
  const block = Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
  const special = new Set([...Object.keys(headers), ...SENT_AT_ONCE])
  const takesText = keepsHeadAsText()

  return class SecuredResponse<Request extends IncomingMessage> extends ServerResponse<Request> {
    override writeHead(status: number, reasonOrHeaders?: string | Given, headersAfterReason?: Given): this {
      const withReason = typeof reasonOrHeaders === 'string'
      if (takesText && !withReason && headersAfterReason === undefined && !this.headersSent) {
        const own = this.#named(reasonOrHeaders)
        if (own !== undefined) {
          super.writeHead(status, own)
          withText(this, block)
          return this
        }
      }
      const all = this.#secured(withReason ? headersAfterReason : (headersAfterReason ?? reasonOrHeaders))
      // Node reads one argument less where there is no reason.
      return withReason ? super.writeHead(status, reasonOrHeaders, all) : super.writeHead(status, all)
    }

    /** Names and values of an answer like those of Fastify, and the ids; undefined where it says something special. */
    #named(given: Given | undefined): OutgoingHttpHeader[] | undefined {
      if (Array.isArray(given) || this.getHeaderNames().length > 0) return undefined
      const own: OutgoingHttpHeader[] = []
      const ids = idsOf(this.req)
      for (const name in given) {
        if (special.has(name) || name !== name.toLowerCase()) return undefined
        if (Object.hasOwn(ids, name)) continue
        // What is no value is for Node to refuse.
        own.push(name, given[name] as OutgoingHttpHeader)
      }
      for (const name in ids) own.push(name, ids[name] as string)
      return own
    }

    #secured(all: Given | undefined): Given {
      const ids = idsOf(this.req)
      for (const name in ids) this.removeHeader(name)
      const given = all && withoutNames(all, ids)
      if (Array.isArray(given)) {
        return [...this.#missing(given), ...given]
      }
      if (this.getHeaderNames().length > 0) {
        const names = Object.keys(given ?? {}).flatMap((name) => [name, ''])
        return { ...pairs(this.#missing(names)), ...given }
      }
      const merged: OutgoingHttpHeaders = { ...headers, ...ids }
      for (const name in given) {
        // Two forms of one name would be two headers.
        if (name !== name.toLowerCase()) delete merged[name.toLowerCase()]
        merged[name] = given[name]
      }
      return merged
    }

    /** The headers that the answer does not have, names and values in turn. */
    #missing(given: readonly OutgoingHttpHeader[]): OutgoingHttpHeader[] {
      const names = new Set(
        given.filter((_, index) => index % 2 === 0).map((name) => String(name).toLowerCase()),
      )
      const flat = [...constant, ...Object.entries(idsOf(this.req)).flat()]
      return flat.filter((_, index) => {
        const name = flat[index - (index % 2)] ?? ''
        return !names.has(name) && !this.hasHeader(name)
      })
    }
  }
}

/** Headers without some of them; those of a list as names and values in turn. Names count in lower case. */
function withoutNames(given: Given, names: Readonly<Record<string, string>>): Given {
  const stays = (name: unknown) => !Object.hasOwn(names, String(name).toLowerCase())
  if (!Array.isArray(given)) return Object.fromEntries(Object.entries(given).filter(([name]) => stays(name)))
  // Names and values in turn, or in pairs; a value may be a list itself.
  const flat: OutgoingHttpHeader[] = Array.isArray(given[0]) ? given.flat() : given
  return flat.filter((_, index) => stays(flat[index - (index % 2)]))
}

/** With these, Node may send the head at once. */
const SENT_AT_ONCE = ['expect']

/** The head of an answer as Node keeps it until it is sent, with the empty line at its end. */
interface WithHead {
  _header?: unknown
}

/** Whether this version of Node keeps it, and so: it is no documented member. */
function keepsHeadAsText(): boolean {
  const probe = new ServerResponse(new IncomingMessage(new Socket())).writeHead(200)
  const { _header: head } = probe as WithHead
  return typeof head === 'string' && head.endsWith('\r\n\r\n')
}

function withText(response: object, block: string): void {
  const head = (response as WithHead)._header as string
  ;(response as WithHead)._header = `${head.slice(0, -2)}${block}\r\n`
}

function pairs(flat: readonly OutgoingHttpHeader[]): OutgoingHttpHeaders {
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1]]] : [])))
}
