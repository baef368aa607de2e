// The service as a list: what is registered, in which order, and what each part is given. Builds without
// listening, so that tests can use it as it is.

import { randomUUID } from 'node:crypto'
import { abuseGuard, trustedProxies } from '@holdfast/abuse-guard'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import { concurrencyGuard } from '@holdfast/concurrency-guard'
import { ErrorPages, errorPages } from '@holdfast/error-pages'
import { AddressList, systemClock } from '@holdfast/footing'
import { health } from '@holdfast/health'
import { Lifecycle, lifecycle as lifecyclePlugin } from '@holdfast/lifecycle'
import { identifiedResponse, type Logs, logging, serverOptions } from '@holdfast/logging'
import { metrics } from '@holdfast/metrics'
import { poolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { singleflight } from '@holdfast/singleflight'
import { staleCache } from '@holdfast/stale-cache'
import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import Fastify, {
  type FastifyInstance,
  type FastifyRequest,
  type FastifySchemaValidationError,
} from 'fastify'
import { Kysely } from 'kysely'
import { Registry } from 'prom-client'
import { isFresh } from './access-rule.ts'
import { AuditRepository } from './audit/audit-repository.ts'
import { auditTrail } from './audit/audit-trail.ts'
import { auditedActions } from './audit/audited-actions.ts'
import { bearerGuard } from './bearer.ts'
import { type Config, processesOf } from './config.ts'
import type { Database } from './db/database.ts'
import { patientPool, servicePool } from './db/pool-options.ts'
import { prepare } from './db/preparation.ts'
import { classifyUnavailable } from './db/unavailable.ts'
import { deploymentOf } from './deployment/deployment-checks.ts'
import { componentOf } from './error-component.ts'
import { ApiTenantUnknownError } from './errors.ts'
import type { FirstLook } from './first-look.ts'
import { inputValidation } from './input-validation.ts'
import { DeadLetters } from './jobs/dead-letters.ts'
import { obstacleFinder } from './jobs/replay-obstacle.ts'
import { limitsOf, policySet } from './limits.ts'
import { notifications } from './notifications/notifications.ts'
import { Once } from './once.ts'
import { docsEnabled } from './openapi/docs-enabled.ts'
import { openapiDocument } from './openapi/document.ts'
import { explorer } from './openapi/explorer.ts'
import { addressLimit } from './plugins/address-limit.ts'
import { dependencyReports } from './plugins/dependency-reports.ts'
import { hashingLine } from './plugins/hashing-line.ts'
import { identity } from './plugins/identity.ts'
import { jobs } from './plugins/jobs.ts'
import { registerMaintenance } from './plugins/maintenance.ts'
import { DatabaseJournal } from './plugins/maintenance-journal.ts'
import { operationTimes } from './plugins/operation-times.ts'
import { operatorBounds } from './plugins/operator-bounds.ts'
import { redis } from './plugins/redis.ts'
import { requestBounds } from './plugins/request-bounds.ts'
import { sessionPort, sessions } from './plugins/sessions.ts'
import { statedAccess } from './plugins/stated-access.ts'
import { toldEvents } from './plugins/told-events.ts'
import { trafficRedis } from './plugins/traffic-redis.ts'
import { trafficReports } from './plugins/traffic-reports.ts'
import { waitingBounds } from './plugins/waiting-bounds.ts'
import { dutiesOf } from './process-type.ts'
import { RareEvents } from './rare-events.ts'
import { exemplarOf } from './request-exemplar.ts'
import { signInParts } from './routes/auth/sign-in-parts.ts'
import { operatorAudit } from './routes/operator-audit/routes.ts'
import { operatorDeadLetters } from './routes/operator-dead-letters/routes.ts'
import { operatorDeployment } from './routes/operator-deployment/routes.ts'
import { operatorLifecycle } from './routes/operator-lifecycle/routes.ts'
import { operatorLimits } from './routes/operator-limits/routes.ts'
import { withDecodableTenant } from './routes/public-theme/route.ts'
import type { Secret } from './secret.ts'
import { ID_HEADER } from './secured-response.ts'
import { securityHeaders } from './security-headers.ts'
import { serverBounds } from './server-bounds.ts'
import { serviceSecrets } from './service-secrets.ts'
import { registerSlices, withoutSlices } from './slices.ts'
import { refuseTunnels, unreadAnswers } from './unreadable-requests.ts'
import { sharedLevel } from './worker-level.ts'
import { isWorker, sharersOf } from './worker-process.ts'
import { connectionsOf, shareOf } from './worker-share.ts'
import { workers } from './workers/workers.ts'

const MAX_SLUG_IN_PATH = 16_384
const MAX_INSIDE_CONNECTIONS = 1000
const LONGEST_BLOCK_MS = 86_400_000
/** More themes than a process can serve: what is served from memory is bounded by that alone. */
const STALE_THEMES = '1000000/s'

/** Who may use the routes of plugins. Those that are guarded ask for the token of the metrics, or an administrator. */
const FOREIGN_ROUTES = {
  '/healthz': 'public',
  '/livez': 'public',
  '/readyz': 'public',
  '/startupz': 'public',
  '/live': 'public',
  '/ready': 'public',
  '/health': 'public',
  '/health/live': 'public',
  '/health/ready': 'public',
  '/health/check': 'guarded',
  '/health/detailed': 'guarded',
  '/health/summary': 'guarded',
  '/health/metrics': 'guarded',
  '/health/security': 'guarded',
  '/admin/abuse': 'guarded',
  '/admin/maintenance': 'guarded',
  '/admin/banner': 'guarded',
  '/api/status': 'public',
  '/admin/log-level': 'guarded',
} as const
/** What RATE_LIMITS_LEASES says, for tenant-rate-limit. */
const LEASES = { off: false, on: true, strict: { strict: true } } as const

/** For an application that is not all there is in its process. */
const NO_PROCESS = { on() {}, off() {}, exit() {} }

/** What the service is made of that is not in its configuration. */
export interface AppOptions {
  readonly config: Config
  /** What the configuration says of itself, for operators. Default: nothing. */
  readonly warnings?: readonly string[]
  readonly logs: Logs<FastifyRequest>
  /** An existing directory for the last-known-good file; undefined: there is none. */
  readonly dataDirectory: string | undefined
  /** PostgreSQL, or the PgBouncer in front of it; it need not answer yet. */
  readonly databaseUrl: Secret
  /** The way up and down of the process. Default: one that hears no signals and ends no process, for tests. */
  readonly lifecycle?: Lifecycle
}

/** The service, not listening yet. */
export interface App {
  readonly fastify: FastifyInstance
  /** Resolves after `fastify.ready()`, however long that look takes. */
  readonly firstLook: Promise<FirstLook>
}

/** Builds the service. */
export async function buildApp({
  config,
  warnings = [],
  logs,
  dataDirectory,
  databaseUrl,
  lifecycle = new Lifecycle({ signals: [], exceptions: false, process: NO_PROCESS }),
}: AppOptions): Promise<App> {
  const headers = await securityHeaders({
    contentSecurityPolicy: config.securityCsp,
    xssProtection: config.securityXssProtection,
  })
  // Everything but a bare socket gets its headers from the response.
  const errors = new ErrorPages({
    productName: 'Holdfast',
    // There is nothing at `/`: the link would lead from one error to the next.
    homeUrl: false,
    socketHeaders: headers,
    idHeader: ID_HEADER,
    newId: (request) => (request === undefined ? randomUUID() : logs.scopeOf(request).correlationId),
    classify: classifyUnavailable,
  })
  const { loggerInstance: logger, logController } = serverOptions(logs)
  const bounds = {
    ...errors.serverOptions,
    ...serverBounds(config, headers, logs),
    clientErrorHandler: unreadAnswers(errors, logs),
  }
  const fastify = Fastify({
    ...bounds,
    // Whoever names no host gets the same answer as whoever names two.
    http: {
      ...bounds.http,
      requireHostHeader: false,
      // The one response that gives lines to requests, too.
      ServerResponse: identifiedResponse(logs, bounds.http.ServerResponse),
    },
    loggerInstance: logger,
    logController,
    // A tenant that is too long is an unknown tenant, not an unknown path.
    routerOptions: { maxParamLength: MAX_SLUG_IN_PATH },
    ...(config.trustProxy !== undefined && { trustProxy: trustedProxies(config.trustProxy) }),
    rewriteUrl: ({ url = '/' }) => withDecodableTenant(url),
    schemaErrorFormatter: (violations, where) => refusedInput(violations, where, errors),
    schemaController: { compilersFactory: { buildValidator: inputValidation() } },
    bodyLimit: config.maxRequestBytes,
  })
  refuseTunnels(fastify.server, bounds.clientErrorHandler)
  const rare = new RareEvents((...event) => fastify.logging.event(...event), systemClock)
  // By credentials that were refused, not by the status of an answer: any page can have its visitors ask without.
  const chargeWrongToken = ({ ip, principal }: FastifyRequest) => {
    // Somebody's own token, which is good, and not that of operators.
    if (principal !== null) return
    rare.tell('SECURITY_EVENT', 'operator-token.refused', { address: ip })
    fastify.abuseGuard.charge(ip, config.abuseWrongToken)
  }
  const isAdmin = ({ principal }: FastifyRequest) =>
    principal?.role === 'admin' && isFresh(principal, systemClock.wallMs())
  const hasToken = bearerGuard(config.metricsToken, chargeWrongToken)
  const hasAdminToken = bearerGuard(config.adminToken ?? config.metricsToken, chargeWrongToken)
  const authorize = (request: FastifyRequest) => isAdmin(request) || hasToken(request)
  const authorizeOperator = (request: FastifyRequest) => isAdmin(request) || hasAdminToken(request)
  const registry = config.enableMetrics ? new Registry() : undefined
  const shared: { registry?: Registry } = registry === undefined ? {} : { registry }

  await fastify.register(statedAccess, { foreign: FOREIGN_ROUTES })
  await fastify.register(operatorBounds)
  await fastify.register(auditedActions)
  const duties = dutiesOf(config.processType)
  const hasDocs = duties.serves && docsEnabled(config)
  // It reads the routes as they are registered.
  if (hasDocs) await fastify.register(openapiDocument)
  await fastify.register(errorPages, { pages: errors, ...shared })
  const sharers = sharersOf(config)
  await fastify.register(logging, {
    logs,
    // The level is that of all workers.
    admin: { authorize: authorizeOperator, ...(isWorker && { share: sharedLevel(sharers) }) },
    ...shared,
  })
  // Before all hooks, so that whatever they refuse is counted with its route.
  if (registry !== undefined) {
    await fastify.register(metrics, {
      registry,
      authorize,
      routeConfig: { access: 'guarded', addressLimit: false },
      version: config.appVersion,
      environment: config.environment,
      tenant: tenantOf,
      component: componentOf,
      exemplar: ({ raw }) => exemplarOf(logs.scopeOf(raw)),
      cluster: isWorker,
    })
    await fastify.register(operationTimes)
  }
  await fastify.register(toldEvents)
  await fastify.register(waitingBounds, { ...config, ...shareOf(config, sharers), clock: systemClock })
  await fastify.register(requestBounds, config)
  await fastify.register(health, {
    service: 'holdfast-api',
    version: config.appVersion,
    // A block keeps nobody from probes: who is blocked sees no details, or he could go on trying tokens there.
    authorize: (request: FastifyRequest) =>
      fastify.abuseGuard.blockOf(request.ip) === undefined && authorize(request),
    ...(config.managementPort !== undefined && {
      // Of several workers the primary serves it, and asks them.
      management: { port: config.managementPort, host: config.apiHost, server: bounds, listen: !isWorker },
    }),
    ...shared,
  })
  guardInside(fastify.health.management, errors)
  await fastify.register(lifecyclePlugin, { lifecycle, ...shared })
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
    ...servicePool(config, databaseUrl, sharers),
    tenant: tenantOf,
    readOnly: ({ maintenance }) => maintenance.readOnly,
    ...shared,
  })
  await fastify.register(dependencyReports)
  await fastify.register(jobs, config)
  const db = new Kysely<Database>({ dialect: guardedDialect(fastify.poolGuard) })

  // Before whatever has routes in a scope of its own: such a scope knows what requests had when it was made.
  const secrets = serviceSecrets(config, dataDirectory, logger)
  await fastify.register(sessions, {
    secrets,
    secure: config.sessionSecure,
    shared: config.redisUrl !== undefined,
    query: (text, values) => fastify.poolGuard.query(text, values, { criticality: 'critical' }),
    ...shared,
  })

  // What a request passes, in this order: is its address blocked; is the line of passwords full; is what it asks for
  // closed; has the address asked for too much; who asks; has he, or his tenant, or have all together asked for too much;
  // is an operation of his under way.
  const exempt = config.rateLimitsExempt ?? []
  const fleet = fastify.trafficRedis === null ? {} : { redis: fastify.trafficRedis }
  const limits = limitsOf(config)
  await fastify.register(abuseGuard, {
    maxPerMinute: config.abuseMaxPerMinute,
    blockMs: config.abuseBlockMs,
    maxBlockMs: Math.max(config.abuseBlockMs, LONGEST_BLOCK_MS),
    weights: config.abuseWeights,
    allow: [...config.abuseAllow, ...exempt],
    admin: { authorize: authorizeOperator },
    page: fastify.errorPages.pageFor,
    ...fleet,
    ...shared,
  })
  await fastify.register(hashingLine, { sharers })
  const preparation = new Once(() =>
    fastify.logging.timed(
      'database.preparation',
      () =>
        prepare(fastify.poolGuard, {
          mayChange: config.environment !== 'production',
          patient: patientPool(config, config.databaseMigrationUrl ?? databaseUrl, 'preparation'),
          log: logger,
          dataDirectory,
          connections: connectionsOf(config, processesOf(config)),
          // Nobody sets up the roles of a database that the service starts for itself.
          adviceLevel: config.databaseUrl === undefined ? 'debug' : 'warn',
        }),
      // Migrations take their time.
      { slowMs: 60_000 },
    ),
  )
  const auditRepository = new AuditRepository(db)
  await fastify.register(auditTrail, {
    repository: auditRepository,
    prepare: () => preparation.get(),
    clock: systemClock,
    metrics: registry === undefined ? undefined : fastify.metrics,
  })
  await fastify.register(notifications, {
    config,
    queue: fastify.jobs,
    deliver: duties.notifies,
    prepare: () => preparation.get(),
    clock: systemClock,
    metrics: registry === undefined ? undefined : fastify.metrics,
  })
  await registerMaintenance(fastify, {
    config,
    secrets,
    journal: new DatabaseJournal(db, () => preparation.get()),
    tenant: tenantOf,
    authorize: authorizeOperator,
    ...shared,
  })
  await fastify.register(tenantRateLimit, {
    tenant: tenantOf,
    user: ({ principal }) => principal?.id,
    exempt: ({ principal }) => principal?.role === 'admin',
    exemptAddresses: exempt,
    ...policySet(limits),
    leases: LEASES[config.rateLimitsLeases],
    processes: processesOf(config),
    staleLimit: STALE_THEMES,
    headers: ['draft', 'x-ratelimit', 'x-rate-limit'],
    page: fastify.errorPages.pageFor,
    ...fleet,
    ...shared,
  })
  await fastify.register(addressLimit, { limit: limits.limits.ip, exempt })
  const parts = signInParts(fastify, {
    config,
    db,
    prepare: () => preparation.get(),
    secrets,
    exempt: new AddressList(exempt, unreadable),
  })
  const kept = sessionPort(fastify, parts.cutoffs)
  await fastify.register(identity, {
    ...parts,
    sessions: kept,
    crossSite: { trustedOrigins: new Set(config.trustedOrigins), sslStrict: config.csrfSslStrict },
    clock: systemClock,
  })
  await fastify.register(concurrencyGuard, {
    leaseMs: config.botOperationLeaseMs,
    page: fastify.errorPages.pageFor,
    ...fleet,
    ...shared,
  })
  await fastify.register(trafficReports)
  await fastify.register(operatorLimits, { settings: limits, authorize: authorizeOperator })
  await fastify.register(operatorLifecycle, { authorize: authorizeOperator })
  await fastify.register(operatorAudit, { repository: auditRepository, authorize: authorizeOperator })
  await fastify.register(operatorDeadLetters, {
    deadLetters: new DeadLetters({
      pool: fastify.poolGuard,
      audit: fastify.audit,
      obstacle: obstacleFinder({ pool: fastify.poolGuard, delivery: fastify.notifications.delivery }),
    }),
    authorize: authorizeOperator,
  })
  await fastify.register(operatorDeployment, {
    deployment: () => deploymentOf({ config, warnings }),
    authorize: authorizeOperator,
  })

  await fastify.register(workers, { config, duties, prepare: () => preparation.get() })
  const signIn = { ...parts, sessions: kept }
  const { firstLook } = duties.serves
    ? await registerSlices(fastify, { config, db, registry, dataDirectory, preparation, signIn })
    : withoutSlices(fastify, preparation)
  if (hasDocs) await fastify.register(explorer)
  fastify.accessStated()
  fastify.errorPages.answerOtherMethods()
  return { fastify, firstLook }
}

/** No error of the inner port tells more than those outside, and probes and collectors are few. */
function guardInside(management: FastifyInstance | undefined, errors: ErrorPages): void {
  if (management === undefined) return
  management.server.maxConnections = MAX_INSIDE_CONNECTIONS
  management.setErrorHandler((error, request, reply) => errors.answer(error, request, reply))
  management.server.on('checkExpectation', (request, response) => errors.answerExpectation(request, response))
}

/**
 * Whose request it is, for limits and fairness: the tenant of who asks, or the one in the path, if there is one. All
 * that are none share what one has: whoever makes up names makes no keys of them.
 */
function tenantOf({ principal, params, server }: FastifyRequest): string | undefined {
  if (principal !== null) return principal.tenant
  const { tenant } = params as { tenant?: string }
  return tenant !== undefined && server.hasTheme(tenant) ? tenant : undefined
}

/** A tenant that cannot be is one more that there is not. */
function refusedInput(
  violations: FastifySchemaValidationError[],
  where: string,
  { serverOptions }: ErrorPages,
): Error {
  const isTenant = where === 'params' && violations.some(({ instancePath }) => instancePath === '/tenant')
  return isTenant ? new ApiTenantUnknownError() : serverOptions.schemaErrorFormatter(violations, where)
}

/** The configuration has read them before. */
function unreadable(entry: string): never {
  throw new Error(`${entry} is no network`)
}
