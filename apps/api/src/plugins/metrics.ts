import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { collectDefaultMetrics, type Registry } from 'prom-client'
import { requireBearer } from '../bearer.ts'

/** What the metrics route needs. */
export interface MetricsOptions {
  readonly registry: Registry
  /** Who may read the metrics on the main port. */
  readonly authorize: (request: FastifyRequest) => boolean
}

/**
 * `GET /metrics`, on the main port for those who are authorized and on the management port, when there is one,
 * for everyone who reaches it. Several collectors that ask at once, each with the token, share one collection.
 */
export const metrics = fastifyPlugin<MetricsOptions>(
  async (app, { registry, authorize }) => {
    collectDefaultMetrics({ register: registry })
    const collect = async (_request: FastifyRequest, reply: FastifyReply) => {
      reply.type(registry.contentType).header('cache-control', 'no-store')
      return registry.metrics()
    }
    app.get(
      '/metrics',
      {
        // Late, so that it is known who asks.
        preHandler: requireBearer('metrics', authorize),
        config: {
          access: 'guarded',
          addressLimit: false,
          singleflight: { key: () => ['metrics'], shared: true },
        },
      },
      collect,
    )
    const management: FastifyInstance | undefined = app.health.management
    management?.get('/metrics', collect)
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/metrics',
    dependencies: ['@holdfast/health', '@holdfast/singleflight'],
  },
)
