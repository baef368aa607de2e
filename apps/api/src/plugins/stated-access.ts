// Every route says who may use it, or nothing is served at all.

import { fastifyPlugin } from 'fastify-plugin'
import type { AccessRule, Principal } from '../access-rule.ts'
import { ApiAccessUnstatedError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** All routes are there: what is added from now on answers for methods that they have not, to everybody. */
    accessStated(): void
    /** Every route, `GET /path`, with its rule; without what only says that a method is not there. */
    readonly accessRules: ReadonlyMap<string, AccessRule>
  }
  interface FastifyRequest {
    /** Who asks; null where nobody is asked for, or is known. */
    principal: Principal | null
  }
  interface FastifyContextConfig {
    /** Who may use the route. Every route has to say so. */
    access?: AccessRule
  }
}

/** For routes of plugins, which know nothing of rules. */
export interface StatedAccessOptions {
  /** By the beginning of the path; the longest that fits counts. Only for routes that state nothing themselves. */
  readonly foreign: Readonly<Record<string, AccessRule>>
}

/** Register it before any route. `app.ready()` rejects with `HOLDFAST_ERR_API_ACCESS_UNSTATED` and names the routes. */
export const statedAccess = fastifyPlugin<StatedAccessOptions>(
  async (app, { foreign }) => {
    const beginnings = Object.entries(foreign).toSorted(([left], [right]) => right.length - left.length)
    const unstated: string[] = []
    const rules = new Map<string, AccessRule>()
    app.decorate('accessRules', rules)
    app.decorateRequest('principal', null)
    let otherwise: AccessRule | undefined
    app.decorate('accessStated', () => {
      otherwise = 'public'
    })
    app.addHook('onRoute', (route) => {
      const { url, method } = route
      const stated =
        route.config?.access ??
        beginnings.find(([path]) => url === path || url.startsWith(`${path}/`))?.[1] ??
        otherwise
      if (stated === undefined) {
        unstated.push(`${[method].flat().join(',')} ${url}`)
        return
      }
      route.config = { ...route.config, access: stated }
      if (otherwise !== undefined) return
      for (const each of [method].flat()) rules.set(`${each} ${url}`, stated)
    })
    app.addHook('onReady', async () => {
      if (unstated.length > 0) throw new ApiAccessUnstatedError(unstated.join(', '))
    })
  },
  { fastify: '5.x', name: '@holdfast/api/stated-access' },
)
