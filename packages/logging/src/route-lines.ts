// What the lines of a route have in common, found out once for each route.

import { isProbe } from '@holdfast/footing'
import { jsonText } from './completion-text.ts'
import type { LoggedRouteOptions } from './options.ts'
import type { RequestLike } from './request-scope.ts'

/** A route, as the lines of its requests see it. */
export interface RouteLines {
  /** Undefined where no route matched. */
  readonly url: string | undefined
  /** `url` as it stands in a line. */
  readonly text: string | undefined
  readonly slowMs: number
  /** The share of requests that went well whose line is written. */
  readonly sample: number
  /** Whether its successes are not worth a line. */
  readonly isQuiet: boolean
}

/** What counts where a route says nothing of its own. */
export interface RouteDefaults {
  readonly slowMs: number
  readonly sampleSuccess: number
  readonly quietRoutes: ReadonlySet<string>
}

/** Knows the routes whose requests came so far. */
export class RoutesSeen {
  readonly #defaults: RouteDefaults
  /** By their `config`, of which each has one. */
  readonly #seen = new WeakMap<object, RouteLines>()
  readonly #none: RouteLines

  constructor(defaults: RouteDefaults) {
    this.#defaults = defaults
    this.#none = this.#linesOf(undefined, undefined)
  }

  /** The route of a request; undefined is one that Fastify never had. */
  of(request: RequestLike | undefined): RouteLines {
    if (request === undefined) return this.#none
    // Read once: Fastify makes this object anew for whoever asks.
    const { url, config } = request.routeOptions
    if (config === undefined) return this.#linesOf(url, config)
    let lines = this.#seen.get(config)
    if (lines === undefined) {
      lines = this.#linesOf(url, config)
      this.#seen.set(config, lines)
    }
    return lines
  }

  #linesOf(url: string | undefined, config: object | undefined): RouteLines {
    const { logging } = (config ?? {}) as { readonly logging?: LoggedRouteOptions | false }
    const { slowMs, sampleSuccess, quietRoutes } = this.#defaults
    return {
      url,
      text: url === undefined ? undefined : jsonText(url),
      slowMs: (logging || undefined)?.slowMs ?? slowMs,
      sample: (logging || undefined)?.sample ?? sampleSuccess,
      isQuiet: logging === false || isProbe(config) || quietRoutes.has(url ?? ''),
    }
  }
}
