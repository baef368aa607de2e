// The one writer of the headers that protect, and of the one that names the request: a response that carries them
// whoever answers, so also where no plugin is asked: paths that cannot be decoded, hijacked replies, what Node answers
// itself. The values that protect are constant, and a name that the answer sets itself stays as the answer has it.

import {
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
} from 'node:http'

type Given = OutgoingHttpHeaders | OutgoingHttpHeader[]

/** The header by which an answer names its request. */
export const ID_HEADER = 'x-correlation-id'

/** A class for the option `ServerResponse` of `http.createServer`. Names must be in lower case. */
export function securedResponse(
  headers: Readonly<Record<string, string>>,
  idOf: (request: IncomingMessage) => string,
): typeof ServerResponse {
  const constant = Object.entries(headers).flat()

  return class SecuredResponse<Request extends IncomingMessage> extends ServerResponse<Request> {
    override writeHead(status: number, reasonOrHeaders?: string | Given, headersAfterReason?: Given): this {
      const withReason = typeof reasonOrHeaders === 'string'
      const all = this.#secured(withReason ? headersAfterReason : (headersAfterReason ?? reasonOrHeaders))
      // Node reads one argument less where there is no reason.
      return withReason ? super.writeHead(status, reasonOrHeaders, all) : super.writeHead(status, all)
    }

    #secured(given: Given | undefined): Given {
      if (Array.isArray(given)) {
        // Names and values in turn, or in pairs; a value may be a list itself.
        const own = Array.isArray(given[0]) ? given.flat() : given
        return [...this.#missing(own), ...own]
      }
      if (this.getHeaderNames().length > 0) {
        const names = Object.keys(given ?? {}).flatMap((name) => [name, ''])
        return { ...pairs(this.#missing(names)), ...given }
      }
      const all: OutgoingHttpHeaders = { ...headers, [ID_HEADER]: idOf(this.req) }
      for (const name in given) {
        // Two forms of one name would be two headers.
        if (name !== name.toLowerCase()) delete all[name.toLowerCase()]
        all[name] = given[name]
      }
      return all
    }

    /** The headers that the answer does not have, names and values in turn. */
    #missing(given: readonly OutgoingHttpHeader[]): OutgoingHttpHeader[] {
      const names = new Set(
        given.filter((_, index) => index % 2 === 0).map((name) => String(name).toLowerCase()),
      )
      const flat = [...constant, ID_HEADER, idOf(this.req)]
      return flat.filter((_, index) => {
        const name = flat[index - (index % 2)] ?? ''
        return !names.has(name) && !this.hasHeader(name)
      })
    }
  }
}

function pairs(flat: readonly OutgoingHttpHeader[]): OutgoingHttpHeaders {
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1]]] : [])))
}
