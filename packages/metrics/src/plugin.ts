import type { IncomingMessage, ServerResponse } from 'node:http'
import { Authorisation, bearerCheck, endsWithConnection, responseOn, statusOfUnread } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { CONTENT_TYPES, type Format, formatOf, takesGzip } from './accept.ts'
import { countedStatus, type EndedResponse } from './answer-end.ts'
import { ClusterWorker } from './cluster-process.ts'
import { AlreadyRegisteredError, ForbiddenError, UnauthenticatedError } from './errors.ts'
import { componentOf, type ErrorType, errorCounter, errorTypeOf } from './errors-seen.ts'
import { HttpRequests, type RouteRecorder, UNMATCHED } from './http-requests.ts'
import { fitsExemplar } from './label-text.ts'
import { MetricSet } from './metric-set.ts'
import { APP_INFO, PARSER_ERRORS, TENANT_REQUESTS, UNREAD } from './metrics.ts'
import { type OperationSummary, OperationTimes } from './operation-times.ts'
import { type MetricsOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import type { Exemplar } from './row.ts'
import { collectRuntime } from './runtime.ts'
import { Scrapes } from './scrape.ts'
import { SharedScrapes } from './shared-scrapes.ts'

/** What `app.metrics` is. */
export interface Metrics extends Pick<MetricSet, 'counter' | 'gauge' | 'histogram' | 'registry'> {
  /** Counts an error of whatever is no request, such as a worker, in `errors_total`. */
  countError(type: ErrorType, component: string): void
  /** Notes how long an operation took, in ms, for `/health/metrics`. */
  recordTime(operation: string, ms: number): void
  /** The text of all metrics; whoever asks at the same time gets the same. */
  scrape(format?: Format): Promise<string>
  /** Plain data. */
  snapshot(): MetricsSnapshot
}

/** What `app.metrics.snapshot()` answers. */
export interface MetricsSnapshot {
  readonly inFlight: number
  readonly operations: Readonly<Record<string, OperationSummary>>
  /** Measurements for which there was no room. */
  readonly droppedMeasurements: number
}

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
  }
  interface FastifyContextConfig {
    /** `false`: the requests of this route are not recorded. */
    metrics?: false
  }
}

/** A request that is under way. */
interface Recording {
  readonly startedMs: number
  /** Undefined for what never reaches a hook. */
  request: FastifyRequest | undefined
  /** Where it was answered on the bare socket, because what came with it or behind it could not be read. */
  unreadStatus: number | undefined
  ended: boolean
}

const RECORDING = Symbol('holdfast.metrics.recording')
const ROUTE = Symbol('holdfast.metrics.route')

type Recorded = ServerResponse & { [RECORDING]?: Recording }
interface RouteConfig {
  readonly url?: string
  readonly metrics?: unknown
  [ROUTE]?: RouteRecorder
}

/** Smaller ones are not worth it. */
const LEAST_GZIPPED = 1024
/** Of what the client did, the parser cannot be blamed. */
const RESETS = ['ECONNRESET', 'EPIPE']

/**
 * The plugin; decorates the instance with `metrics`. Register it first, with `await`, so that whatever another hook
 * refuses is recorded with its route. Raises `HOLDFAST_ERR_METRICS_OPTION`, `HOLDFAST_ERR_METRICS_ALREADY_REGISTERED`,
 * and `HOLDFAST_ERR_METRICS_DUPLICATE` for a registry that has one of its metrics already.
 */
export const metrics = fp(
  async (app: FastifyInstance, given: MetricsOptions<FastifyRequest>) => {
    if (app.hasDecorator('metrics')) throw new AlreadyRegisteredError()
    const options = resolveOptions(given)
    const { registry, clock, tenant, exemplar, component } = options
    const set = new MetricSet(registry, (metric, label) =>
      app.log.warn({ metric, label }, 'a label has more values than it has room for; the rest is "other"'),
    )
    const requests = new HttpRequests(set, options)
    const errors = errorCounter(set)
    const parserErrors = set.counter(PARSER_ERRORS)
    const unread = set.counter(UNREAD)
    const tenants =
      tenant && set.counter({ ...TENANT_REQUESTS, labels: { tenant: { max: options.maxTenants } } })
    set
      .gauge({ ...APP_INFO, aggregate: 'max', labels: { version: { max: 1 }, environment: { max: 1 } } })
      .set({ version: options.version, environment: options.environment }, 1)
    const operations = new OperationTimes(options.maxOperations)
    const couldNotRead = (metric: string) => unread.inc({ metric })
    const scrapes = new Scrapes({
      registry,
      clock,
      timeoutMs: options.collectTimeoutMs,
      unread: couldNotRead,
    })
    const own = new SharedScrapes((format) => scrapes.read(format), { clock, keepMs: 0 })

    function begin(response: Recorded, request: FastifyRequest | undefined): void {
      response[RECORDING] = { startedMs: clock.nowMs(), request, unreadStatus: undefined, ended: false }
      requests.inFlight.inc()
      response.on('close', close)
      // Nobody else tells of one behind another one of its connection when that breaks.
      if (response.socket === null) endsWithConnection(response, () => end(response))
    }

    function close(this: Recorded): void {
      end(this)
    }

    function end(response: Recorded): void {
      const recording = response[RECORDING]
      if (recording === undefined || recording.ended) return
      recording.ended = true
      requests.inFlight.dec()
      const { request, startedMs, unreadStatus } = recording
      // An answer that is kept a little longer, if only by the collector, does not keep all that the request has.
      recording.request = undefined
      const seconds = (clock.nowMs() - startedMs) / 1000
      const status = unreadStatus ?? countedStatus(response as EndedResponse)
      if (request === undefined) {
        requests.route(UNMATCHED).record(response.req.method ?? '', status, seconds)
        return
      }
      const config = request.routeOptions.config as RouteConfig
      if (config.metrics === false) return
      let route = config[ROUTE]
      if (route === undefined) {
        route = requests.route(config.url ?? UNMATCHED)
        config[ROUTE] = route
      }
      if (exemplar === undefined) route.record(request.method, status, seconds)
      else route.record(request.method, status, seconds, exemplarOf(request))
      if (tenant !== undefined) tenants?.inc({ tenant: contained(tenant, request) })
    }

    function exemplarOf(request: FastifyRequest): Omit<Exemplar, 'value'> | undefined {
      const labels = exemplar && contained(exemplar, request)
      return fitsExemplar(labels) ? { labels, wallMs: clock.wallMs() } : undefined
    }

    app.decorate('metrics', {
      registry,
      counter: (definition) => set.counter(definition),
      gauge: (definition) => set.gauge(definition),
      histogram: (definition) => set.histogram(definition),
      countError: (type, part) => errors(type, part),
      recordTime: (operation, ms) => operations.record(operation, ms),
      scrape: async (format = 'text') => (await own.read(format)).text,
      snapshot: () => ({
        inFlight: requests.inFlight.value,
        operations: operations.snapshot(),
        droppedMeasurements: operations.dropped,
      }),
    } satisfies Metrics)

    app.addHook('onRequest', (request, reply, done) => {
      const response = reply.raw as Recorded
      const recording = response[RECORDING]
      if (recording === undefined) begin(response, request)
      else recording.request = request
      done()
    })
    app.addHook('onError', (_request, reply, error, done) => {
      // Whatever can be thrown, can be thrown here: `null`, too.
      const { statusCode = reply.statusCode < 400 ? 500 : reply.statusCode } = Object(error)
      errors(errorTypeOf(statusCode), contained(component, error) ?? componentOf(error))
      done()
    })
    // After Fastify's own listener: what a hook has seen has its recording by then.
    const unseen = (_request: IncomingMessage, response: Recorded): void => {
      if (response[RECORDING] === undefined) begin(response, undefined)
    }
    app.server.on('request', unseen)
    app.server.on('clientError', (error: NodeJS.ErrnoException, socket: object) => {
      const { code = 'other' } = error
      if (RESETS.includes(code)) return
      parserErrors.inc({ code })
      // The request that waits there takes that for its answer.
      const response = responseOn(socket) as Recorded | undefined
      const recording = response?.headersSent === false ? response[RECORDING] : undefined
      if (recording !== undefined) recording.unreadStatus = statusOfUnread(error)
    })
    const stopRuntime = options.runtime
      ? collectRuntime(set, { clock, runtime: options.runtimeClock })
      : () => {}
    const worker = options.cluster ? new ClusterWorker(process, registry, clock, couldNotRead) : undefined
    app.addHook('onClose', async () => {
      stopRuntime()
      await worker?.close()
    })
    const shown = new SharedScrapes((format) => (worker ?? scrapes).read(format), options)

    const answer = async ({ headers }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const format = formatOf(headers.accept)
      const scraped = await shown.read(format)
      reply
        .type(CONTENT_TYPES[format])
        .header('cache-control', 'no-store')
        .header('vary', 'accept, accept-encoding')
      const { text } = scraped
      if (text.length < LEAST_GZIPPED || !takesGzip(headers['accept-encoding']?.toString()))
        return reply.send(text)
      return reply.header('content-encoding', 'gzip').send(await scraped.zipped())
    }
    if (options.path !== false) {
      const config = { ...options.routeConfig, metrics: false as const }
      const preHandler = admit(options)
      app.get(options.path, { config, preHandler, logLevel: 'warn' }, answer)
    }
    const besideHealth = (): boolean => {
      const { health } = app as { readonly health?: HealthLike }
      if (health === undefined) return false
      if (options.management) health.management?.get(options.path || '/metrics', answer)
      health.addReport('metrics', 'operations', () => operations.snapshot())
      return true
    }
    const known = besideHealth()
    app.addHook('onReady', async () => {
      // Before the hook of health that opens its listener, which was added later then.
      if (!known) besideHealth()
      // A listener of our own would take the place of Node's answer.
      if (app.server.listenerCount('checkExpectation') > 0) app.server.on('checkExpectation', unseen)
    })
  },
  { fastify: '5.x', name: '@holdfast/metrics' },
)

/** What is needed of `@holdfast/health`, where it is registered. */
interface HealthLike {
  readonly management: FastifyInstance | undefined
  addReport(page: 'metrics', name: string, produce: () => object): unknown
}

/** A hook that lets in who has the token, and whom `authorize` knows. */
function admit({ token, authorize, authorizeTimeoutMs, clock }: ResolvedOptions<FastifyRequest>) {
  const check = bearerCheck(token)
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, clock)
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    if (check(request.headers.authorization) === 'right') {
      done()
      return
    }
    authorisation.decide(request, (authorised) => {
      if (authorised) {
        done()
        return
      }
      if (token === undefined && !authorisation.possible) {
        done(new ForbiddenError())
        return
      }
      reply.header('www-authenticate', 'Bearer realm="metrics"')
      done(new UnauthenticatedError())
    })
  }
}

/** What users are asked must not take the recording with it. */
function contained<About, Answer>(ask: (about: About) => Answer, about: About): Answer | undefined {
  try {
    return ask(about)
  } catch {
    return undefined
  }
}
