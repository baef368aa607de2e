// The service as a list: what is registered, in which order, and what each part is given. Builds without
// listening, so that tests can use it as it is.

import { join } from 'node:path'
import { health } from '@holdfast/health'
import { singleflight } from '@holdfast/singleflight'
import { staleCache } from '@holdfast/stale-cache'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { Registry } from 'prom-client'
import { bearerGuard } from './bearer.ts'
import type { Config } from './config.ts'
import { DatabaseConnection } from './db/connection.ts'
import { metrics } from './plugins/metrics.ts'
import { answerError, answerUnreadable, problemAnswers } from './plugins/problem-answers.ts'
import { registerPublicTheme } from './routes/public-theme/register.ts'
import { withDecodableTenant } from './routes/public-theme/route.ts'
import type { ThemeTurn } from './routes/public-theme/theme-refresher.ts'
import { HistoryPages } from './routes/theme-history/history-pages.ts'
import { themeHistory } from './routes/theme-history/routes.ts'
import { ThemeHistoryRepository } from './routes/theme-history/theme-history-repository.ts'
import type { Secret } from './secret.ts'

const MAX_SLUG_IN_PATH = 16_384
const DATABASE_CHECK_INTERVAL_MS = 2000

/** What the service is made of that is not in its configuration. */
export interface AppOptions {
  readonly config: Config
  readonly logger: FastifyBaseLogger
  /** An existing directory for the last-known-good file; undefined: there is none. */
  readonly dataDirectory: string | undefined
  /** PostgreSQL, or the PgBouncer in front of it; it need not answer yet. */
  readonly databaseUrl: Secret
}

/** The service, not listening yet. */
export interface App {
  readonly fastify: FastifyInstance
  /** How the first look into the database ended. Resolves after `fastify.ready()`, however long that look takes. */
  readonly firstTurn: Promise<ThemeTurn>
}

/** Builds the service. */
export async function buildApp({ config, logger, dataDirectory, databaseUrl }: AppOptions): Promise<App> {
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
    // A member that a body may not have is refused, not silently dropped.
    ajv: { customOptions: { removeAdditional: false } },
    frameworkErrors: answerError,
    clientErrorHandler: answerUnreadable,
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
    locate: async () => databaseUrl.reveal(),
    mayChange: config.environment !== 'production',
    onPrepared: (prepared) => {
      logger.info(prepared, 'database prepared')
      if (fastify.health.phase === 'draining') return
      // Looked at while it was still starting, it would count as not there until the next look.
      stopLooking()
      stopLooking = lookAtDatabase()
    },
    onConnectionLost: (error) => logger.warn({ reason: error.message }, 'connection to the database lost'),
  })
  const lookAtDatabase = () =>
    fastify.health.addCheck('database', {
      check: ({ signal }) => database.ping(signal),
      intervalMs: DATABASE_CHECK_INTERVAL_MS,
      severity: 'degrading',
      degradedAboveMs: 100,
    })
  let stopLooking = lookAtDatabase()
  fastify.addHook('onClose', () => database.close())

  const { firstTurn } = await registerPublicTheme(fastify, {
    db: database.db,
    prepare: () => database.prepare(),
    intervalMs: config.themeRefreshIntervalMs,
    maxBytes: config.themeCacheMaxBytes,
    snapshotFile: dataDirectory === undefined ? undefined : join(dataDirectory, 'themes.snapshot'),
  })
  const repository = new ThemeHistoryRepository(database.db)
  const pages = new HistoryPages(repository, fastify.staleCache)
  await fastify.register(themeHistory, { repository, pages })
  return { fastify, firstTurn }
}
