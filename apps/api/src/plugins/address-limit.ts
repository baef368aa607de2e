// How much one address may ask for, whoever it is: @fastify/rate-limit, with our store behind it. Before anything is
// looked up for a request.

import rateLimit from '@fastify/rate-limit'
import { AddressList, clientNetwork, isProbe, type RetryAfter, withRetryAfter } from '@holdfast/footing'
import { fastifyRateLimitStore } from '@holdfast/tenant-rate-limit'
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { addressQuota } from '../address-quota.ts'
import { ApiAddressLimitedError } from '../errors.ts'

/** How much, and for whom. */
export interface AddressLimitOptions {
  /** `60/minute` */
  readonly limit: string
  /** Addresses and networks without this limit. */
  readonly exempt: readonly string[]
}

/** What `app.addressLimit` is. */
export interface AddressLimit {
  /**
   * The limit of all routes without one of their own, from now on; what an address has used of it stays used, as a
   * share. Raises what `addressQuota` raises, and changes nothing then.
   */
  set(limit: string): void
}

declare module 'fastify' {
  interface FastifyInstance {
    addressLimit: AddressLimit
  }
  interface FastifyContextConfig {
    /** A limit of this route alone, in place of the common one: `5/minute`. `false`: its requests are not counted. */
    addressLimit?: string | false
  }
}

/**
 * Counts every request, also of paths that there are not, but for probes and routes with `config.addressLimit: false`.
 * Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY` for a limit that `addressQuota` refuses, also that of a route.
 */
export const addressLimit = fastifyPlugin<AddressLimitOptions>(
  async (app, { limit, exempt }) => {
    let quota = addressQuota(limit)
    app.decorate('addressLimit', {
      set: (text) => {
        quota = addressQuota(text)
      },
    })
    const exempted = new AddressList(exempt, unreadable)
    await app.register(rateLimit, {
      global: false,
      max: () => quota.max,
      timeWindow: () => quota.timeWindow,
      store: fastifyRateLimitStore({ limiter: app.tenantRateLimit.limiter, name: 'address' }),
      keyGenerator: ({ ip }) => clientNetwork(ip) ?? ip,
      allowList: ({ ip }) => exempted.has(ip),
      // They would speak of one limit of several; tenant-rate-limit tells about those of the user.
      addHeadersOnExceeding: {
        'x-ratelimit-limit': false,
        'x-ratelimit-remaining': false,
        'x-ratelimit-reset': false,
      },
      errorResponseBuilder: (_request, { ttl }) => withRetryAfter(new ApiAddressLimitedError(), ttl),
    })
    const count = app.rateLimit() as onRequestAsyncHookHandler
    const countsOfRoutes = new Map<string, onRequestAsyncHookHandler>()
    /** The methods of a path that have one limit share it, so that HEAD does not get another one. */
    const countOf = (own: string, url: string | undefined) => {
      const id = `${own} of ${url}`
      const known = countsOfRoutes.get(id)
      if (known !== undefined) return known
      const made = app.rateLimit({ ...addressQuota(own), groupId: id }) as onRequestAsyncHookHandler
      countsOfRoutes.set(id, made)
      return made
    }
    app.addHook('onRoute', ({ url, config }) => {
      const own = config?.addressLimit
      if (typeof own === 'string') countOf(own, url)
    })
    app.addHook('onRequest', (request, reply, done) => {
      if (!isCounted(request)) {
        done()
        return
      }
      const { url, config } = request.routeOptions
      const { addressLimit: own } = config
      // Of routes that were there before this plugin it learns here.
      const counting = typeof own === 'string' ? countOf(own, url) : count
      counting.call(app, request, reply).then(
        () => done(),
        (error) => {
          const { retryAfterSeconds } = error as Partial<RetryAfter>
          if (retryAfterSeconds !== undefined) {
            reply.header('x-rate-limit-remaining', 0).header('x-rate-limit-reset', retryAfterSeconds)
          }
          done(error)
        },
      )
    })
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/address-limit',
    dependencies: ['@holdfast/tenant-rate-limit'],
  },
)

/** Probes are how a cluster sees whether we live. */
function isCounted({ routeOptions: { config } }: FastifyRequest): boolean {
  return config.addressLimit !== false && !isProbe(config)
}

function unreadable(entry: string): never {
  throw new Error(`${entry} is no network`)
}
