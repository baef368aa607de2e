import type { FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { RepresentationPolicy, RepresentationPolicyOptions } from './cache-headers.ts'
import { checks, guarding, type MetricsRegistry } from './options.ts'
import type { Representation } from './representation.ts'
import { type PeekedRepresentation, RepresentationSender } from './send-representation.ts'
import type { SharedRedis } from './shared-redis.ts'
import { StaleCaches } from './stale-caches.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The caches of this application. */
    staleCache: StaleCaches
  }
  interface FastifyReply {
    /**
     * Answers with ready bytes: `cache.peek(key)`, or a representation of your own. Negotiates the encoding,
     * evaluates `If-None-Match` and `If-Match`, sets `ETag`, `Vary`, `Cache-Control`, `Age` and
     * `Cache-Status`. Synchronous.
     */
    sendRepresentation(answer: PeekedRepresentation | Representation, policy?: RepresentationPolicy): this
  }
}

/** Settings of the plugin; those of a cache are given to `app.staleCache.create`. */
export interface StaleCachePluginOptions {
  /** Caches that may be created. Default 64. */
  readonly maxCaches?: number
  /** Caching headers of `reply.sendRepresentation` where it is given no policy. Default: those of `RepresentationPolicy`. */
  readonly policy?: RepresentationPolicyOptions
  /** A `prom-client` registry that the metrics of all caches are registered on. Default: none. */
  readonly registry?: MetricsRegistry
  /**
   * The label `app` of the metrics. Needed when scopes or applications of one process share a registry: all but one
   * of them must have it. Default: no such label.
   */
  readonly appName?: string
  /** `app.redisGuard`: the second level of every cache that does not say `redis: false`. Default: none. */
  readonly redis?: SharedRedis
}

const plugin: FastifyPluginAsync<StaleCachePluginOptions> = async (app, options) => {
  checks.onlyKnown('', options, ['maxCaches', 'policy', 'registry', 'appName', 'redis'])
  const { registry, appName } = options
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  const caches = new StaleCaches(
    checks.count('maxCaches', options.maxCaches ?? 64),
    guarding('redis', options.redis),
  )
  const sender = new RepresentationSender(options.policy)
  app.decorate('staleCache', caches)
  app.decorateReply('sendRepresentation', function (answer, policy) {
    sender.send(this, answer, policy)
    return this
  })
  app.addHook('onReady', () => caches.ready())
  app.addHook('onClose', () => caches.close())
  if (registry !== undefined) {
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => ({
        caches: caches.snapshot(),
        sender: sender.snapshot(),
      })),
    )
  }
}

/**
 * Registers `app.staleCache`. Caches created before `ready` are ready when the server is: their defaults are
 * built and their last-known-good files read. They are closed, and their files written, when the server closes.
 */
export const staleCache = fastifyPlugin(plugin, { fastify: '5.x', name: '@holdfast/stale-cache' })
export default staleCache
