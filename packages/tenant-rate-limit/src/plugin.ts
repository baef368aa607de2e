import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { DenyCache } from './deny-cache.ts'
import { LocalFallback } from './fallback.ts'
import { RateLimiter } from './limiter.ts'
import { MemoryStore } from './memory-store.ts'
import { resolveOptions, type TenantRateLimitOptions } from './options.ts'
import { Policies } from './policies.ts'
import { RedisStore } from './redis-store.ts'

/** What `app.tenantRateLimit` is. */
export interface TenantRateLimit {
  readonly policies: Policies
  readonly limiter: RateLimiter
}

declare module 'fastify' {
  interface FastifyInstance {
    tenantRateLimit: TenantRateLimit
  }
}

/** The plugin; raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION` for a wrong option. */
export const tenantRateLimit = fp(
  async (app: FastifyInstance, options: TenantRateLimitOptions) => {
    const { redis, clock, ...set } = resolveOptions(options)
    const limiter =
      redis === undefined
        ? new RateLimiter({ store: new MemoryStore({ clock }), clock })
        : new RateLimiter({
            store: new RedisStore(redis),
            clock,
            denyCache: new DenyCache(),
            fallback: new LocalFallback({ clock }),
          })
    app.decorate('tenantRateLimit', { policies: new Policies(set), limiter })
    app.addHook('onClose', () => limiter.close())
  },
  { fastify: '5.x', name: '@holdfast/tenant-rate-limit' },
)
