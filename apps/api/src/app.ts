// The service as a list: what is registered, in which order, and what each part is given. Builds without
// listening, so that tests can use it as it is.

import { join } from 'node:path'
import { health } from '@holdfast/health'
import { singleflight, systemClock } from '@holdfast/singleflight'
import { staleCache } from '@holdfast/stale-cache'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { Registry } from 'prom-client'
import { bearerGuard } from './bearer.ts'
import type { Config } from './config.ts'
import { DatabaseConnection } from './db/connection.ts'
import { metrics } from './plugins/metrics.ts'
import { answerError, problemAnswers } from './plugins/problem-answers.ts'
import { publicTheme, withDecodableTenant } from './routes/public-theme/route.ts'
import { ThemeCache } from './routes/public-theme/theme-cache.ts'
import { ThemeRefresher, type ThemeTurn } from './routes/public-theme/theme-refresher.ts'
import { ThemeRepository } from './routes/public-theme/theme-repository.ts'
import { themeTurnLog } from './routes/public-theme/theme-turn-log.ts'

const MAX_THEMES = 10_000
const MAX_BATCH = 500
const MAX_SLUG_IN_PATH = 16_384
const DATABASE_CHECK_INTERVAL_MS = 2000

/** What the service is made of that is not in its configuration. */
export interface AppOptions {
  readonly config: Config
  readonly logger: FastifyBaseLogger
  /** An existing directory for the last-known-good file; undefined: there is none. */
  readonly dataDirectory: string | undefined
  /** Answers the URL of the database; called again until it succeeds. */
  readonly locateDatabase: () => Promise<string>
}

/** The service, not listening yet. */
export interface App {
  readonly fastify: FastifyInstance
  /** How the first look into the database ended. Resolves after `fastify.ready()`, however long that look takes. */
  readonly firstTurn: Promise<ThemeTurn>
}

/** Builds the service. */
export async function buildApp({ config, logger, dataDirectory, locateDatabase }: AppOptions): Promise<App> {
  const fastify = Fastify({
    loggerInstance: logger,
    logController: new LogController({
      disableRequestLogging: !['debug', 'trace'].includes(config.logLevel),
    }),
    // A tenant that is too long is an unknown tenant, not an unknown path.
    routerOptions: { maxParamLength: MAX_SLUG_IN_PATH },
    // While closing, what still arrives on open connections is served.
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => withDecodableTenant(url),
    frameworkErrors: answerError,
  })
  const authorize = bearerGuard(config.metricsToken)
  const registry = config.enableMetrics ? new Registry() : undefined
  const shared: { registry?: Registry } = registry === undefined ? {} : { registry }

  await fastify.register(problemAnswers)
  await fastify.register(health, {
    service: 'holdfast-api',
    version: config.appVersion,
    // Without a token nobody could ever be authorized, and health says 403 at once.
    ...(config.metricsToken !== undefined && { authorize }),
    ...(config.managementPort !== undefined && {
      management: { port: config.managementPort, host: config.apiHost },
    }),
    ...shared,
  })
  await fastify.register(singleflight, shared)
  await fastify.register(staleCache, shared)
  if (registry !== undefined) await fastify.register(metrics, { registry, authorize })

  const database = new DatabaseConnection({
    config,
    locate: locateDatabase,
    mayChange: config.environment !== 'production',
    onPrepared: (prepared) => logger.info(prepared, 'database prepared'),
    onConnectionLost: (error) => logger.warn({ reason: error.message }, 'connection to the database lost'),
  })
  const repository = new ThemeRepository(database.db)
  const themes = new ThemeCache({
    caches: fastify.staleCache,
    load: (slugs) => repository.themesOf(slugs),
    onUnusable: (tenant, problems) =>
      logger.warn({ tenant, problems }, 'theme cannot be served, the last good one stays'),
    onEvicted: (evicted) =>
      logger.warn(
        { evicted },
        'THEME_CACHE_MAX_BYTES is too small, the themes that left are served as the default',
      ),
    maxThemes: MAX_THEMES,
    maxBytes: config.themeCacheMaxBytes,
    maxBatch: MAX_BATCH,
    snapshotFile: dataDirectory === undefined ? undefined : join(dataDirectory, 'themes.snapshot'),
  })
  const refresher = new ThemeRefresher({
    source: repository,
    target: themes,
    clock: systemClock,
    random: Math.random,
    intervalMs: config.themeRefreshIntervalMs,
    maxThemes: MAX_THEMES,
    maxBatch: MAX_BATCH,
    prepare: () => database.prepare(),
    onTurn: themeTurnLog(logger),
  })
  await fastify.register(publicTheme, { themes: themes.reader })

  fastify.health.addCheck('database', {
    check: ({ signal }) => database.ping(signal),
    intervalMs: DATABASE_CHECK_INTERVAL_MS,
    severity: 'degrading',
    degradedAboveMs: 100,
  })
  fastify.health.addCheck('themes', {
    check: () => refresher.health(),
    intervalMs: config.themeRefreshIntervalMs,
    severity: 'informative',
  })

  const { promise: firstTurn, resolve } = Promise.withResolvers<ThemeTurn>()
  fastify.addHook('onReady', async () => {
    await themes.ready
    // Not awaited: the service starts whatever state its database is in.
    void refresher.start().then(resolve)
  })
  fastify.addHook('onClose', async () => {
    await refresher.stop()
    await database.close()
  })
  return { fastify, firstTurn }
}
