import type { IncomingHttpHeaders } from 'node:http'
import { type Bypass, cookieOf } from './bypass.ts'
import type { Asker } from './plan.ts'

/** What this needs of a Fastify request. */
export interface RequestLike {
  readonly method: string
  readonly ip: string
  readonly headers: IncomingHttpHeaders
}

/** Where what rules ask about comes from. */
export interface AskerSources<Request> {
  readonly tenant: ((request: Request) => string | undefined) | undefined
  readonly roles: ((request: Request) => readonly string[]) | undefined
  readonly address: ((request: Request) => string | undefined) | undefined
  /** The header and the cookie of bypasses; undefined: there are none. */
  readonly bypass: { readonly header: string; readonly cookie: string } | undefined
  readonly findBypass: (token: string | undefined) => Bypass | undefined
}

/** Whoever sends a request, as far as rules ask. Made only while a rule holds. */
export class RequestAsker<Request extends RequestLike> implements Asker {
  readonly method: string
  readonly #request: Request
  readonly #sources: AskerSources<Request>
  /** Whether it is found out already who asks. */
  readonly #isKnown: boolean

  constructor(request: Request, sources: AskerSources<Request>, isKnown: boolean) {
    this.method = request.method
    this.#request = request
    this.#sources = sources
    this.#isKnown = isKnown
  }

  tenant(): string | undefined {
    return this.#sources.tenant?.(this.#request)
  }

  address(): string | undefined {
    const { address } = this.#sources
    return address === undefined ? this.#request.ip : address(this.#request)
  }

  roles(): readonly string[] | undefined {
    const { roles } = this.#sources
    if (roles === undefined) return []
    if (this.#isKnown) return roles(this.#request)
    const { authorization, cookie } = this.#request.headers
    // Whoever brings nothing will not be found out to be anybody.
    return authorization === undefined && cookie === undefined ? [] : undefined
  }

  hasBypass(): boolean {
    return this.bypass() !== undefined
  }

  /** The way past maintenance that it brings, if it holds. */
  bypass(): Bypass | undefined {
    const { bypass, findBypass } = this.#sources
    if (bypass === undefined) return undefined
    const { headers } = this.#request
    const given = headers[bypass.header]
    return findBypass(typeof given === 'string' ? given : cookieOf(headers.cookie, bypass.cookie))
  }
}
