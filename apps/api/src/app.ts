// The service as a list: what is registered, in which order, and what each part is given. Builds without
// listening, so that tests can use it as it is.

import { join } from 'node:path'
import { abuseGuard, trustedProxies } from '@holdfast/abuse-guard'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import { concurrencyGuard } from '@holdfast/concurrency-guard'
import { withRetryAfter } from '@holdfast/footing'
import { health } from '@holdfast/health'
import { poolGuard, runInScope } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { singleflight } from '@holdfast/singleflight'
import { staleCache } from '@holdfast/stale-cache'
import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { Kysely } from 'kysely'
import { Registry } from 'prom-client'
import { bearerGuard } from './bearer.ts'
import { believesUsers, type Config } from './config.ts'
import type { Database } from './db/database.ts'
import { patientPool, servicePool } from './db/pool-options.ts'
import { prepare } from './db/preparation.ts'
import { UserRepository } from './db/user-repository.ts'
import { ApiDatabasePressedError } from './errors.ts'
import { limitsOf, policySet } from './limits.ts'
import { Once } from './once.ts'
import { addressLimit } from './plugins/address-limit.ts'
import { dependencyReports } from './plugins/dependency-reports.ts'
import { developmentUser } from './plugins/development-user.ts'
import { metrics } from './plugins/metrics.ts'
import { answerOtherMethods } from './plugins/other-methods.ts'
import { answerError, answerUnreadable, describeInvalid, problemAnswers } from './plugins/problem-answers.ts'
import { redis } from './plugins/redis.ts'
import { trafficRedis } from './plugins/traffic-redis.ts'
import { trafficReports } from './plugins/traffic-reports.ts'
import { botMetrics } from './routes/bots/bot-metrics.ts'
import { BotRepository } from './routes/bots/bot-repository.ts'
import { BotStatusPages } from './routes/bots/bot-status.ts'
import { bots } from './routes/bots/routes.ts'
import { operatorLimits } from './routes/operator-limits/routes.ts'
import { registerPublicTheme } from './routes/public-theme/register.ts'
import { withDecodableTenant } from './routes/public-theme/route.ts'
import { isTenantSlug } from './routes/public-theme/theme.ts'
import type { ThemeTurn } from './routes/public-theme/theme-refresher.ts'
import { HistoryPages } from './routes/theme-history/history-pages.ts'
import { themeHistory } from './routes/theme-history/routes.ts'
import { ThemeHistoryRepository } from './routes/theme-history/theme-history-repository.ts'
import type { Secret } from './secret.ts'

const MAX_SLUG_IN_PATH = 16_384
const PAUSE_MS = 1000
const LONGEST_BLOCK_MS = 86_400_000
/** More themes than a process can serve: what is served from memory is bounded by that alone. */
const STALE_THEMES = '1000000/s'
/** What RATE_LIMITS_LEASES says, for tenant-rate-limit. */
const LEASES = { off: false, on: true, strict: { strict: true } } as const
/** Requests are small: who has not sent one whole by then does not mean to. */
const MAX_ARRIVAL_MS = 20_000
const ARRIVAL_CHECK_MS = 1000

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
    ...(config.trustProxy !== undefined && { trustProxy: trustedProxies(config.trustProxy) }),
    // While closing, what still arrives on open connections is served.
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => withDecodableTenant(url),
    // A member that a body may not have is refused, not silently dropped.
    ajv: { customOptions: { removeAdditional: false } },
    schemaErrorFormatter: describeInvalid,
    requestTimeout: MAX_ARRIVAL_MS,
    // Node takes the longer of the two times for the whole request, whichever was meant.
    http: { headersTimeout: MAX_ARRIVAL_MS, connectionsCheckingInterval: ARRIVAL_CHECK_MS },
    frameworkErrors: answerError,
    clientErrorHandler: answerUnreadable,
  })
  // Bodies are JSON; text would reach a schema that never fits it.
  fastify.removeContentTypeParser('text/plain')
  // A script that names the type of every body names it for a DELETE, too, which has none.
  const readJson = fastify.getDefaultJsonParser('error', 'error')
  fastify.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '' && request.method === 'DELETE') done(null)
    else readJson(request, body, done)
  })
  const addOtherMethods = answerOtherMethods(fastify)
  // By credentials that were refused, not by the status of an answer: any page can have its visitors ask without.
  const chargeWrongToken = ({ ip }: FastifyRequest) => fastify.abuseGuard.charge(ip, config.abuseWrongToken)
  const authorize = bearerGuard(config.metricsToken, chargeWrongToken)
  const adminToken = config.adminToken ?? config.metricsToken
  const authorizeOperator = bearerGuard(adminToken, chargeWrongToken)
  const registry = config.enableMetrics ? new Registry() : undefined
  const shared: { registry?: Registry } = registry === undefined ? {} : { registry }

  await fastify.register(problemAnswers)
  await fastify.register(health, {
    service: 'holdfast-api',
    version: config.appVersion,
    // Without a token nobody could ever be authorized, and health says 403 at once.
    // A block keeps nobody from probes: who is blocked sees no details, or he could go on trying tokens there.
    ...(config.metricsToken !== undefined && {
      authorize: (request: FastifyRequest) =>
        fastify.abuseGuard.blockOf(request.ip) === undefined && authorize(request),
    }),
    ...(config.managementPort !== undefined && {
      management: { port: config.managementPort, host: config.apiHost },
    }),
    ...shared,
  })
  await fastify.register(circuitBreaker, shared)
  await fastify.register(trafficRedis, { target: config.rateLimitRedisUrl, ...shared })
  await fastify.register(redis, { target: config.redisUrl, ...shared })
  await fastify.register(singleflight, {
    ...shared,
    // Flights of all processes, where one asks for that.
    ...(config.redisUrl !== undefined && { redis: fastify.redisGuard }),
  })
  await fastify.register(staleCache, shared)
  await fastify.register(poolGuard, {
    ...servicePool(config, databaseUrl),
    tenant: tenantOf,
    ...shared,
  })
  await fastify.register(dependencyReports)
  if (registry !== undefined) await fastify.register(metrics, { registry, authorize })
  const db = new Kysely<Database>({ dialect: guardedDialect(fastify.poolGuard) })

  // What a request passes, in this order: is its address blocked; has the address asked for too much; who asks; has he,
  // or his tenant, or have all together asked for too much; is an operation of his under way.
  const exempt = config.rateLimitsExempt ?? []
  const fleet = fastify.trafficRedis === null ? {} : { redis: fastify.trafficRedis }
  const limits = limitsOf(config)
  await fastify.register(abuseGuard, {
    maxPerMinute: config.abuseMaxPerMinute,
    blockMs: config.abuseBlockMs,
    maxBlockMs: Math.max(config.abuseBlockMs, LONGEST_BLOCK_MS),
    weights: config.abuseWeights,
    allow: [...config.abuseAllow, ...exempt],
    admin: adminToken === undefined ? {} : { authorize: authorizeOperator },
    ...fleet,
    ...shared,
  })
  await fastify.register(tenantRateLimit, {
    tenant: tenantOf,
    user: ({ principal }) => principal?.id,
    exempt: ({ principal }) => principal?.role === 'admin',
    exemptAddresses: exempt,
    ...policySet(limits),
    leases: LEASES[config.rateLimitsLeases],
    processes: config.apiWorkers,
    staleLimit: STALE_THEMES,
    headers: ['draft', 'x-ratelimit', 'x-rate-limit'],
    ...fleet,
    ...shared,
  })
  await fastify.register(addressLimit, { limit: limits.limits.ip, exempt })
  await fastify.register(developmentUser, {
    users: believesUsers(config) ? new UserRepository(db) : undefined,
  })
  await fastify.register(concurrencyGuard, { leaseMs: config.botOperationLeaseMs, ...fleet, ...shared })
  await fastify.register(trafficReports)
  await fastify.register(operatorLimits, { settings: limits, authorize: authorizeOperator })

  const preparation = new Once(() =>
    prepare(fastify.poolGuard, {
      mayChange: config.environment !== 'production',
      patient: patientPool(config, config.databaseMigrationUrl ?? databaseUrl, 'preparation'),
      log: logger,
      // Nobody sets up the roles of a database that the service starts for itself.
      adviceLevel: config.databaseUrl === undefined ? 'debug' : 'warn',
    }),
  )
  // What the refresher asks, nobody waits for: it takes the connections that are left, and pauses under pressure.
  const { firstTurn } = await runInScope({ criticality: 'background', route: 'theme refresher' }, () =>
    registerPublicTheme(fastify, {
      db,
      prepare: async () => {
        await preparation.get()
        const { state } = fastify.poolGuard.pressure
        if (state === 'pressed') throw withRetryAfter(new ApiDatabasePressedError(), PAUSE_MS)
      },
      intervalMs: config.themeRefreshIntervalMs,
      maxBytes: config.themeCacheMaxBytes,
      snapshotFile: dataDirectory === undefined ? undefined : join(dataDirectory, 'themes.snapshot'),
    }),
  )
  const repository = new ThemeHistoryRepository(db)
  const pages = new HistoryPages(repository, fastify.staleCache)
  await fastify.register(themeHistory, { repository, pages })
  const botRepository = new BotRepository(fastify.poolGuard, db)
  await fastify.register(bots, {
    repository: botRepository,
    pages: new BotStatusPages(botRepository, fastify.staleCache),
    counters: registry && botMetrics(registry, botRepository, fastify.staleCache),
  })
  addOtherMethods()
  return { fastify, firstTurn }
}

/** Whose request it is, for limits and fairness: the tenant of who asks, or the one in the path. */
function tenantOf({ principal, params }: FastifyRequest): string | undefined {
  if (principal !== null) return principal.tenant
  const { tenant } = params as { tenant?: string }
  // All that cannot be a tenant is one.
  return tenant !== undefined && isTenantSlug(tenant) ? tenant : undefined
}
