import type { MetricsRegistry } from '@holdfast/footing'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { HealthPort } from './attached-application.ts'
import { AlreadyRegisteredError } from './errors.ts'
import { Lifecycle } from './lifecycle.ts'
import { checks, type LifecycleOptions } from './options.ts'

/** Options of the plugin: those of `Lifecycle`, and its own. */
export interface LifecyclePluginOptions extends LifecycleOptions {
  /**
   * A `Lifecycle` that was made before there was an application, so that signals were heard from the first instant; then
   * it has the options, and those here must be left out. Default: a new one.
   */
  readonly lifecycle?: Lifecycle
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry | undefined
  /** The label `app` of the metrics, for applications that share a registry. Default: no such label. */
  readonly appName?: string | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    lifecycle: Lifecycle
  }
}

/** As much of `@holdfast/circuit-breaker` as the first line of the way down tells. */
interface BreakersPort {
  snapshot(): readonly { readonly name: string; readonly state: string }[]
}

async function plugin(app: FastifyInstance, options: LifecyclePluginOptions): Promise<void> {
  if (app.hasDecorator('lifecycle')) throw new AlreadyRegisteredError()
  const { lifecycle: given, registry, appName, ...rest } = options
  if (given !== undefined) {
    if (!(given instanceof Lifecycle)) checks.refuse('lifecycle', 'a Lifecycle', given)
    checks.onlyKnown('', rest, ['lifecycle', 'registry', 'appName'])
  }
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  const lifecycle = given ?? new Lifecycle(rest)
  // Somebody else may have something of that name.
  const found = <T extends object>(name: string, ...methods: readonly (keyof T & string)[]) => {
    const decorator = app.hasDecorator(name) ? app.getDecorator<Partial<T>>(name) : undefined
    return methods.every((method) => typeof decorator?.[method] === 'function') ? (decorator as T) : undefined
  }
  lifecycle.attach(
    app,
    {
      health: () => found<HealthPort>('health', 'drain', 'confirmed'),
      report: () => {
        const breakers = found<BreakersPort>('circuitBreaker', 'snapshot')
        if (breakers === undefined) return {}
        return { breakers: Object.fromEntries(breakers.snapshot().map(({ name, state }) => [name, state])) }
      },
    },
    app.log,
  )
  app.decorate('lifecycle', lifecycle)
  app.addHook('onListen', async () => {
    // Not awaited: Fastify waits for nothing here, and closing may come in between.
    lifecycle.noteListening().catch(() => {})
  })
  if (lifecycle.turnsRequestsAway) {
    app.addHook('onRequest', (request, reply, done) => {
      if (!lifecycle.turnedAway(request.raw)) return done()
      reply.hijack()
    })
  }
  app.addHook('preClose', () => lifecycle.closing())
  app.addHook('onClose', () => lifecycle.closed())
  if (registry !== undefined) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => lifecycle.snapshot()),
    )
  }
}

/** The plugin; decorates the instance with `lifecycle`. Register it right after health, before whatever it shall outlive. */
export const lifecycle = fp(plugin, { fastify: '5.x', name: '@holdfast/lifecycle' })

export default lifecycle
