import {
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { Authorisation, type MetricsRegistry, systemClock } from '@holdfast/footing'
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import fp from 'fastify-plugin'
import { answerUnread } from './bare-answer.ts'
import { AlreadyRegisteredError, ForbiddenError, LevelError, UnauthenticatedError } from './errors.ts'
import { EVENT_LEVELS, EVENT_TYPES, type EventLevel, type EventType } from './events.ts'
import { ID_LABEL } from './guarded-logger.ts'
import { LEVELS, type Level, levelOf, MAX_CHANGE_MS } from './level-control.ts'
import { Logs, type LogsSnapshot, type TimedOptions } from './logs.ts'
import {
  type AdminOptions,
  adminOf,
  checkRoute,
  checks,
  type LoggedRouteOptions,
  type LogsOptions,
  type ResolvedAdmin,
} from './options.ts'
import { CORRELATION_HEADER, REQUEST_HEADER } from './request-ids.ts'
import type { Carrier, RequestScope } from './request-scope.ts'

/** Options of the plugin: those of `Logs`, and its own. */
export interface LoggingOptions extends LogsOptions<FastifyRequest> {
  /**
   * The `Logs` whose `serverOptions` the server was made with; then they have the options, and those above must be left
   * out. Default: new ones that write to the logger of the server.
   */
  readonly logs?: Logs<FastifyRequest>
  /** Routes by which operators change the level for a while. Default: none. */
  readonly admin?: AdminOptions<FastifyRequest>
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
  /** The label `app` of the metrics, for applications that share a registry. Default: no such label. */
  readonly appName?: string
}

/** What `app.logging` is. */
export interface Logging {
  /**
   * Tells an event of one of the five types, with the ids of the request or job it belongs to. A SECURITY_EVENT is
   * written whatever the level is. `level` is `warn` for that type, `error` for an ERROR_EVENT, and `info` for the others,
   * when it is left out. A type or level that there is not, and an event without a name, are refused with
   * `HOLDFAST_ERR_LOGGING_OPTION`; else it never throws.
   */
  event(type: EventType, event: string, fields?: object, level?: EventLevel): void
  /** Runs an operation and tells how long it took; slow ones as a warning. What it answers or throws is passed on. */
  timed<T>(operation: string, run: () => T | PromiseLike<T>, options?: TimedOptions): Promise<Awaited<T>>
  /** Runs a job whose lines carry its ids. */
  run<T>(carrier: Carrier, job: () => T): T
  /** What a job needs to go on under the ids of whoever asks for it. */
  carrier(): Carrier
  /** Headers for what is asked of another service: `x-correlation-id`, and `traceparent` where there is a trace. */
  outgoing(): Record<string, string>
  /** The correlation id of what runs now; undefined outside of requests and jobs. */
  readonly correlationId: string | undefined
  /** Puts another level in force for a bounded time (at most a day); raises `HOLDFAST_ERR_LOGGING_OPTION`. */
  setLevel(level: string, forMs: number): void
  /** Brings the configured level back. */
  resetLevel(): void
  /** Counters as plain data. */
  snapshot(): LogsSnapshot
}

declare module 'fastify' {
  interface FastifyInstance {
    logging: Logging
  }
  interface FastifyContextConfig {
    /** How the requests of a route are logged; `false`: not, as long as they go well. */
    logging?: LoggedRouteOptions | false
  }
}

/** Those that servers were made with. */
const SERVING = new WeakSet<object>()

/**
 * For `Fastify({ ...serverOptions(logs) })`. Whoever gives other `http` options keeps this `ServerResponse` among them:
 * it names requests, and gives lines to them, where Fastify never learns of them.
 */
export function serverOptions(logs: Logs<FastifyRequest>) {
  SERVING.add(logs)
  return {
    loggerInstance: logs.logger as FastifyBaseLogger,
    logController: new OneLineController(logs),
    genReqId: (raw: object) => logs.scopeOf(raw as IncomingMessage).correlationId,
    http: { ServerResponse: identifiedResponse(logs) },
    clientErrorHandler: (error: unknown, socket: Socket) =>
      answerUnread(error, socket, () => logs.unread(socket)),
  }
}

/**
 * A response that carries the ids of its request, and has a line, whoever answers. For a server that has a response of
 * its own: `Base`, which then writes the ids itself (`logs.idHeadersOf(request)`).
 */
export function identifiedResponse(
  logs: Logs<FastifyRequest>,
  Base?: typeof ServerResponse,
): typeof ServerResponse {
  const writesIds = Base === undefined
  class IdentifiedResponse<Request extends IncomingMessage> extends (Base ?? ServerResponse)<Request> {
    override writeHead(...given: unknown[]): this {
      logs.follow(this)
      if (writesIds && !this.headersSent) {
        const [status, headers] = given
        // As Fastify does it. Headers that are set one by one are written slower.
        if (given.length === 2 && isPlain(headers) && this.getHeaderNames().length === 0) {
          return super.writeHead(status as number, named(logs.scopeOf(this.req), headers))
        }
        nameRequest(logs, this)
        return super.writeHead(...(given.map(withoutIds) as Parameters<ServerResponse['writeHead']>))
      }
      return super.writeHead(...(given as Parameters<ServerResponse['writeHead']>))
    }
  }
  Object.assign(IdentifiedResponse.prototype, { [NAMES_REQUEST]: true })
  return IdentifiedResponse
}

function isPlain(given: unknown): given is OutgoingHttpHeaders {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

/** The headers of an answer, names and values in turn, with the ids of its request. */
function named({ correlationId, requestId }: RequestScope, given: OutgoingHttpHeaders): OutgoingHttpHeader[] {
  const headers: OutgoingHttpHeader[] = []
  for (const name in given) {
    // What Node refuses as a value it must see.
    if (!isIdHeader(name)) headers.push(name, given[name] as OutgoingHttpHeader)
  }
  headers.push(CORRELATION_HEADER, correlationId, REQUEST_HEADER, requestId)
  return headers
}

/** Whether only the log says what is in it: an answer that copies those of another service would name no line here. */
function isIdHeader(name: string): boolean {
  if (name.length === CORRELATION_HEADER.length) return name.toLowerCase() === CORRELATION_HEADER
  return name.length === REQUEST_HEADER.length && name.toLowerCase() === REQUEST_HEADER
}

/** What `writeHead` was given: of headers, in any of their three forms, those that are left. */
function withoutIds(given: unknown): unknown {
  if (!Array.isArray(given)) {
    return isPlain(given)
      ? Object.fromEntries(Object.entries(given).filter(([name]) => !isIdHeader(name)))
      : given
  }
  if (Array.isArray(given[0])) return given.filter(([name]) => !isIdHeader(String(name)))
  return given.filter((_, index) => !isIdHeader(String(given[index - (index % 2)])))
}

const NAMES_REQUEST = Symbol('names its request itself')

/** Where the server was made without that response, as in `app.inject()`. */
function nameRequest(logs: Logs<FastifyRequest>, response: ServerResponse): void {
  const ids = logs.idHeadersOf(response.req)
  response.setHeader(CORRELATION_HEADER, ids[CORRELATION_HEADER])
  response.setHeader(REQUEST_HEADER, ids[REQUEST_HEADER])
}

function begin(logs: Logs<FastifyRequest>, request: FastifyRequest, reply: FastifyReply): void {
  logs.begin(request, reply)
  if (!(NAMES_REQUEST in reply.raw)) nameRequest(logs, reply.raw)
}

/** What Fastify says of a request, made into one line at its end. */
class OneLineController extends LogController {
  readonly #logs: Logs<FastifyRequest>

  constructor(logs: Logs<FastifyRequest>) {
    super({ requestIdLogLabel: ID_LABEL })
    this.#logs = logs
  }

  override incomingRequest(request: FastifyRequest, reply: FastifyReply): void {
    begin(this.#logs, request, reply)
  }

  override requestCompleted(error: Error | null | undefined, request: FastifyRequest): void {
    if (error) this.#logs.scopeOf(request.raw).failure = error
  }

  override defaultErrorLog(error: Error, _request: FastifyRequest, reply: FastifyReply): void {
    if (reply.statusCode >= 500) reply.log.error({ err: error }, 'request failed')
    else reply.log.debug({ err: error }, 'request refused')
  }

  override streamError(error: Error & { code?: string }, request: FastifyRequest): void {
    // That is how a client that went away looks from here.
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') this.#logs.scopeOf(request.raw).failure = error
  }

  override routeNotFound(): void {}

  override writeHeadError(error: Error, _request: FastifyRequest, reply: FastifyReply): void {
    reply.log.warn({ err: error }, 'the head of an answer could not be written')
  }

  override serializerError(
    error: Error,
    _request: FastifyRequest,
    reply: FastifyReply,
    { statusCode }: { readonly statusCode: number | string },
  ): void {
    reply.log.error({ err: error, status: statusCode }, 'an answer could not be serialized')
  }

  /** Its response has a line of its own. */
  override serviceUnavailable(): void {}
}

/** The plugin; decorates the instance with `logging`. Register it first. */
export const logging = fp(
  async (app: FastifyInstance, options: LoggingOptions) => {
    if (app.hasDecorator('logging')) throw new AlreadyRegisteredError()
    const { logs: given, admin, registry, appName, ...rest } = checks.object('options', options)
    if (given !== undefined) {
      if (!(given instanceof Logs)) checks.refuse('logs', 'a Logs', given)
      checks.onlyKnown('', rest, ['logs', 'admin', 'registry', 'appName'])
      // Else no request would have a line, and nobody would notice.
      if (!SERVING.has(given))
        checks.refuse('logs', 'those whose serverOptions() a server was made with', given)
    }
    checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
    if (appName !== undefined) checks.text('appName', appName, 63)
    const logs = given ?? new Logs<FastifyRequest>({ logger: app.log, ...rest })

    app.decorate('logging', {
      event: (type, event, fields, level) =>
        logs.event(
          checks.oneOf('type', type, EVENT_TYPES),
          checks.text('event', event, 128),
          fields,
          level && checks.oneOf('level', level, EVENT_LEVELS),
        ),
      timed: (operation, run, timing) => logs.timed(operation, run, timing),
      run: (carrier, job) => logs.run(carrier, job),
      carrier: () => logs.carrier(),
      outgoing: () => logs.outgoing(),
      get correlationId() {
        return logs.correlationId
      },
      setLevel: (level, forMs) =>
        logs.setLevel(
          levelOf(level) ?? checks.oneOf('level', level, LEVELS),
          checks.duration('forMs', forMs, 1, MAX_CHANGE_MS),
        ),
      resetLevel: () => logs.resetLevel(),
      snapshot: () => logs.snapshot(),
    })
    app.addHook('onRoute', ({ config }) => checkRoute(config?.logging))
    if (given === undefined) {
      app.addHook('onRequest', (request, reply, done) => {
        begin(logs, request, reply)
        const { correlationId, requestId } = logs.scopeOf(request.raw)
        request.log = request.log.child({ correlation_id: correlationId, request_id: requestId })
        reply.log = request.log
        done()
      })
    }
    if (given === undefined || app.initialConfig.http2 === true) {
      // There the response has the ids from the beginning, and does not look at what an answer says of them.
      app.addHook('onSend', ({ raw }, reply, _payload, done) => {
        reply.headers(logs.idHeadersOf(raw))
        done()
      })
    }
    // Whoever reads a body goes on in the scope of the connection, which is that of its first request.
    app.addHook('preValidation', (request, _reply, done) => {
      logs.resume(request)
      done()
    })
    app.addHook('onClose', () => logs.resetLevel())
    if (admin !== undefined) addLevelRoutes(app, logs, adminOf(admin))
    if (registry !== undefined) {
      // Loaded only here: prom-client is an optional peer.
      const { sharedMetrics } = await import('./metrics.ts')
      app.addHook(
        'onClose',
        sharedMetrics.share(registry, appName, () => logs.snapshot()),
      )
    }
  },
  { fastify: '5.x', name: '@holdfast/logging' },
)

const DEFAULT_CHANGE_SECONDS = 900
const MAX_BODY_BYTES = 1024

function addLevelRoutes(
  app: FastifyInstance,
  logs: Logs<FastifyRequest>,
  { path: url, authorize, authorizeTimeoutMs, share }: ResolvedAdmin<FastifyRequest>,
): void {
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, systemClock)
  const guard = authorisation.preHandler({
    realm: 'logging',
    Unauthenticated: UnauthenticatedError,
    Forbidden: ForbiddenError,
  })
  const preHandler = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    reply.header('cache-control', 'no-store')
    guard(request, reply, done)
  }
  const answer = () => {
    const { level, configured, untilMs } = logs.snapshot().level
    return { level, configured, until: untilMs === undefined ? null : new Date(untilMs).toISOString() }
  }
  const changed = async (level: Level | undefined, forMs: number) => {
    const processes = await share?.(level, forMs)
    return { ...answer(), ...(processes && { processes }) }
  }
  app.get(url, { preHandler }, async () => answer())
  app.put(url, { preHandler, bodyLimit: MAX_BODY_BYTES }, async ({ body }) => {
    const {
      level: name,
      for_seconds: seconds = DEFAULT_CHANGE_SECONDS,
      ...rest
    } = Object(body) as LevelChange
    const level = levelOf(name)
    const isTime =
      Number.isSafeInteger(seconds) && Number(seconds) >= 1 && Number(seconds) * 1000 <= MAX_CHANGE_MS
    if (level === undefined || !isTime || Object.keys(rest).length > 0)
      throw new LevelError(LEVELS.join(', '))
    const tell = () => logs.event('SECURITY_EVENT', 'log.level.changed', { to: level, for_seconds: seconds })
    // Nothing is written under that one: that it begins is told before.
    if (level === 'silent') tell()
    logs.setLevel(level, Number(seconds) * 1000)
    if (level !== 'silent') tell()
    return changed(level, Number(seconds) * 1000)
  })
  app.delete(url, { preHandler }, async () => {
    logs.resetLevel()
    logs.event('SECURITY_EVENT', 'log.level.reset')
    return changed(undefined, 0)
  })
}

/** What an operator sends; nothing of it is believed. */
interface LevelChange {
  readonly level?: unknown
  readonly for_seconds?: unknown
}
