/*
 * The log of a service: its logger, the scopes of requests and jobs, and the one line that each request ends with.
 * Guarantees: a request has one such line, whoever answered it and however it ended (or none, where its success is not
 * worth one); the ids in it are those of its answer; nothing here makes a request wait or fail.
 * Knows no Fastify: the plugin gives it to one.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { endsWithConnection } from '@holdfast/footing'
import type { Logger } from 'pino'
import { COMPLETED, roundedMs } from './completion.ts'
import { type EventLevel, type EventType, publishEvent, publishLevel } from './events.ts'
import { bindScope, createGuardedLogger, FinishedLine } from './guarded-logger.ts'
import { isEnabled, type Level, LevelControl, type LevelState, levelOf } from './level-control.ts'
import { LineFile } from './line-file.ts'
import { lineTime } from './line-time.ts'
import { type Line, LineMaker, type LogScope } from './log-line.ts'
import { MAX_TEXT, maskText } from './masked-text.ts'
import {
  type Destination,
  type ForeignLogger,
  type LogsOptions,
  type ResolvedOptions,
  resolveOptions,
} from './options.ts'
import { CORRELATION_HEADER, IdSource, REQUEST_HEADER } from './request-ids.ts'
import { RequestLines, type TextLines } from './request-lines.ts'
import {
  type Carrier,
  JobScope,
  type ReplyLike,
  type RequestLike,
  RequestScope,
  type ScopeSource,
} from './request-scope.ts'
import { Scrubber } from './scrubber.ts'
import { SecretNames } from './secret-names.ts'
import { serializersOf } from './serializers.ts'
import { METADATA, SplitDestination } from './split-destination.ts'
import { ThrownLines } from './thrown-lines.ts'
import { type UnreadAnswer, UnreadRequests } from './unread-requests.ts'

/** Counters as plain data, since the start. */
export interface LogsSnapshot {
  readonly level: LevelState
  /** Lines that were written, by level. */
  readonly lines: Readonly<Record<string, number>>
  /** Events that were told, by type. */
  readonly events: Readonly<Record<string, number>>
  /** Successes whose line was left out by `sampleSuccess`. */
  readonly unsampled: number
  /** Lines that were lost: nobody read them fast enough, or a file could not be written. */
  readonly dropped: number
  /** Lines of what could not be read that were left out, of a flood of it. */
  readonly unreadLeftOut: number
}

/** How long an operation may take, and what else its line says. */
export interface TimedOptions {
  /** An operation that takes longer is told as a warning, in ms. Default: the option `slowMs`. */
  readonly slowMs?: number
  /** More members of its line. */
  readonly fields?: object
}

const LEVEL_OF_EVENT = {
  USER_ACTION: 'info',
  SYSTEM_EVENT: 'info',
  ERROR_EVENT: 'error',
  PERFORMANCE_EVENT: 'info',
  SECURITY_EVENT: 'warn',
} as const
const MAX_PENDING = 16_777_216
const STANDARD_OUTPUT = 1
const SCOPE = Symbol('the scope of a request')

interface Scoped {
  [SCOPE]?: RequestScope
}

/** The log of one service. */
export class Logs<Request extends RequestLike = RequestLike> {
  /** For `Fastify({ loggerInstance })`, and for whatever logs outside of requests. */
  readonly logger: Logger
  readonly #options: ResolvedOptions<Request>
  readonly #source: ScopeSource
  readonly #storage = new AsyncLocalStorage<LogScope & { outgoing(): Record<string, string> }>()
  readonly #lines: LineMaker
  readonly #level: LevelControl
  readonly #files: readonly LineFile[]
  readonly #losing: readonly { readonly dropped: number }[]
  /** Writes at every level. */
  readonly #always: ForeignLogger
  readonly #isGuarded: boolean
  readonly #written: Record<string, number> = {}
  readonly #told: Record<string, number> = {}
  readonly #unread: UnreadRequests
  readonly #requests: RequestLines
  /** The one listener for the end of every answer. */
  readonly #onClose = whenClosed((response) => this.#complete(this.scopeOf(response.req), response))

  /** Raises `HOLDFAST_ERR_LOGGING_OPTION`. */
  constructor(options: LogsOptions<Request> = {}) {
    const resolved = resolveOptions(options)
    this.#options = resolved
    const { clock, random, secretNames, plainNames, files, worker } = resolved
    this.#source = {
      ids: new IdSource(clock, random),
      nowMs: () => clock.nowMs(),
      trusts: resolved.trusts,
      // Scopes only ever have requests that came through begin().
      tenant: resolved.tenant as ScopeSource['tenant'],
      user: resolved.user as ScopeSource['user'],
    }
    const scrubber = new Scrubber(new SecretNames({ secret: secretNames, plain: plainNames }))
    this.#lines = new LineMaker(scrubber, worker === undefined ? [] : ['worker', 'pid'])
    const own = worker === undefined ? '' : `,"worker":${worker},"pid":${process.pid}`

    this.#isGuarded = resolved.logger === undefined
    const opened: LineFile[] = []
    const open = (target: string | number, rotation?: { maxBytes: number; keep: number }): LineFile => {
      const file = new LineFile({
        target,
        rotation,
        maxPending: MAX_PENDING,
        clock,
        onError: (error) => this.#lost(error),
      })
      opened.push(file)
      return file
    }
    let text: TextLines | undefined
    let thrown: ThrownLines | undefined
    if (resolved.logger !== undefined) {
      // Its own lines are its own business; those of this package go through it.
      this.logger = resolved.logger as Logger
      const { child } = resolved.logger as Partial<Logger>
      this.#always = child === undefined ? resolved.logger : child.call(this.logger, {}, { level: 'trace' })
    } else {
      const { destination: given } = resolved
      // pino tells some more than the line, on the object itself.
      if (given !== undefined && !(METADATA in given))
        thrown = new ThrownLines(given, (error) => this.#lost(error))
      const main = thrown ?? given ?? open(STANDARD_OUTPUT)
      const { directory = '', name = '' } = files ?? {}
      const destination =
        files === undefined
          ? main
          : new SplitDestination(main, {
              all: open(`${directory}/${name}.log`, files),
              errors: open(`${directory}/${name}.error.log`, files),
            })
      const time = lineTime(clock)
      const onLine = (number: number): void => this.#count(number)
      this.logger = createGuardedLogger({
        level: resolved.level,
        process: own,
        lines: this.#lines,
        serializers: { ...serializersOf(scrubber), msg: maskMessage },
        time,
        destination,
        currentScope: () => this.#storage.getStore(),
        onLine,
      })
      if (takesText(destination)) {
        text = {
          time,
          process: own,
          write(level, line) {
            onLine(level)
            if (destination instanceof SplitDestination) destination.lastLevel = level
            destination.write(line)
          },
        }
      }
      this.#always = this.logger.child({}, { level: 'trace' })
    }
    this.#requests = new RequestLines({
      ...resolved,
      logger: this.logger,
      isGuarded: this.#isGuarded,
      scrub: (value) => scrubber.value(value),
      text,
    })
    this.#files = opened
    this.#losing = thrown === undefined ? opened : [...opened, thrown]
    if (opened.length > 0) process.once('exit', this.#onExit)
    this.#unread = new UnreadRequests({
      ids: this.#source.ids,
      clock,
      scopeOf: (request) => this.scopeOf(request),
      end: (scope, response, status) => {
        response.statusCode = status
        scope.answeredPast = true
        this.#complete(scope, response)
      },
      warn: (line, message) => {
        if (isEnabled(this.logger, 'warn')) this.logger.warn(line, message)
      },
    })
    this.#level = new LevelControl({
      // That of a logger that there was already is its own.
      configured: levelOf(resolved.logger?.level) ?? resolved.level,
      clock,
      apply: ({ level, untilMs }) => {
        this.logger.level = level
        publishLevel({ level, untilMs })
      },
    })
  }

  /** The scope of a request; made when it is asked for first. */
  scopeOf(raw: IncomingMessage): RequestScope {
    const scoped = raw as Scoped
    scoped[SCOPE] ??= new RequestScope(raw, this.#source)
    return scoped[SCOPE]
  }

  /** The headers that name a request, for its answer. */
  idHeadersOf(raw: IncomingMessage): {
    readonly [CORRELATION_HEADER]: string
    readonly [REQUEST_HEADER]: string
  } {
    const { correlationId, requestId } = this.scopeOf(raw)
    return { [CORRELATION_HEADER]: correlationId, [REQUEST_HEADER]: requestId }
  }

  /** A request has come to Fastify: what logs from now on, logs for it. */
  begin(request: Request, reply: ReplyLike): void {
    const scope = this.scopeOf(request.raw)
    scope.request = request
    scope.reply = reply
    bindScope(request.log, scope)
    this.#storage.enterWith(scope)
    this.follow(reply.raw)
  }

  /** Brings the scope of a request back where it was lost, as after the body of a request has come. */
  resume(request: Request): void {
    const scope = this.scopeOf(request.raw)
    if (this.#storage.getStore() !== scope) this.#storage.enterWith(scope)
  }

  /** The line of this request is written when its answer is over; told twice, it is written once. */
  follow(response: ServerResponse): void {
    const scope = this.scopeOf(response.req)
    if (scope.followed) return
    scope.followed = true
    response.on('close', this.#onClose)
    // One that waits behind another of its connection is never told when that connection ends.
    if (response.socket === null) endsWithConnection(response, () => this.#complete(scope, response))
  }

  /**
   * Who names an answer that is written to a bare socket, in `clientError`: the request that waits there for one, or
   * nobody. Told what was `written`, it is in the log. `request` where there is one without a response: a `CONNECT`.
   */
  unread(socket: object, request?: IncomingMessage): UnreadAnswer {
    return this.#unread.answerOn(socket, request)
  }

  /** Runs a job; what it logs carries its ids. */
  run<T>(carrier: Carrier, job: () => T): T {
    return this.#storage.run(new JobScope(carrier, this.#source.ids), job)
  }

  /** What a job needs to go on under the ids of whoever asks for it; plain data, for the payload of a queue. */
  carrier(): Carrier {
    const { correlationId } = this.#storage.getStore() ?? {}
    const { traceparent } = this.outgoing()
    return {
      ...(correlationId !== undefined && { correlationId }),
      ...(traceparent !== undefined && { traceparent }),
    }
  }

  /** Headers for what is asked of another service: the correlation id, and the trace where there is one. */
  outgoing(): Record<string, string> {
    return this.#storage.getStore()?.outgoing() ?? {}
  }

  /** The correlation id of the request or job that this runs for. */
  get correlationId(): string | undefined {
    return this.#storage.getStore()?.correlationId
  }

  /**
   * Tells an event. SECURITY_EVENT is written whatever the level is (but for `silent`); all are published on
   * `holdfast:logging:event`. Never throws.
   */
  event(type: EventType, event: string, fields?: object, level: EventLevel = LEVEL_OF_EVENT[type]): void {
    this.#told[type] = (this.#told[type] ?? 0) + 1
    const scope = this.#storage.getStore()
    const own: Line = { event_type: type, event }
    const line = this.#lines.line({ scope, own, given: fields })
    publishEvent({ type, event, correlationId: scope?.correlationId, line })
    const isForced = type === 'SECURITY_EVENT' && this.logger.level !== 'silent'
    if (isForced) this.#always[level](finished(line), event)
    else if (isEnabled(this.logger, level)) this.logger[level](finished(line), event)
  }

  /**
   * Runs an operation and tells how long it took, as a PERFORMANCE_EVENT; as a warning where it was slow. What it answers or throws is passed on.
   */
  async timed<T>(
    operation: string,
    run: () => T | PromiseLike<T>,
    options: TimedOptions = {},
  ): Promise<Awaited<T>> {
    const { clock, slowMs: usual } = this.#options
    const startedMs = clock.nowMs()
    let failed = true
    try {
      const answer = await run()
      failed = false
      return answer
    } finally {
      const durationMs = clock.nowMs() - startedMs
      const slow = durationMs > (options.slowMs ?? usual)
      const told = { ...options.fields, duration_ms: roundedMs(durationMs), failed, slow: slow || undefined }
      this.event('PERFORMANCE_EVENT', operation, told, slow ? 'warn' : 'info')
    }
  }

  /** Puts another level in force for a time. */
  setLevel(level: Level, forMs: number): void {
    this.#level.set(level, forMs)
  }

  /** Brings the configured level back. */
  resetLevel(): void {
    this.#level.reset()
  }

  snapshot(): LogsSnapshot {
    return {
      level: this.#level.state,
      lines: { ...this.#written },
      events: { ...this.#told },
      unsampled: this.#requests.unsampled,
      dropped: this.#losing.reduce((sum, { dropped }) => sum + dropped, 0),
      unreadLeftOut: this.#unread.leftOut,
    }
  }

  /** Resolves when all lines so far are written. */
  async flush(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.flush()))
  }

  /** Brings the configured level back, writes what waits, and takes no more lines. */
  async close(): Promise<void> {
    this.resetLevel()
    this.#unread.close()
    await Promise.all(this.#files.map((file) => file.close()))
    process.off('exit', this.#onExit)
  }

  readonly #onExit = (): void => {
    for (const file of this.#files) file.flushSync()
  }

  #complete(scope: RequestScope, response: ServerResponse): void {
    if (scope.completed) return
    scope.settle()
    this.#requests.tell(scope, response)
    scope.release()
  }

  #count(number: number): void {
    this.#written[number] = (this.#written[number] ?? 0) + 1
  }

  /** The log cannot say that it cannot be written; whoever watches over the process can. */
  #lost(error: unknown): void {
    const { code, message } = Object(error) as { readonly code?: string; readonly message?: string }
    process.emitWarning(`lines of the log are lost: ${message}`, { code: code ?? 'HOLDFAST_LOGGING_LOST' })
  }
}

/** A stream that pino tells more than the line gets its lines from pino alone. */
function takesText(destination: Destination): boolean {
  return destination instanceof SplitDestination || !(METADATA in destination)
}

function whenClosed(tell: (response: ServerResponse) => void): (this: ServerResponse) => void {
  return function (this: ServerResponse) {
    tell(this)
  }
}

function finished(line: Line): FinishedLine {
  return Object.assign(new FinishedLine(), line)
}

function maskMessage(message: unknown): unknown {
  if (message === COMPLETED) return message
  return typeof message === 'string' ? maskText(message, MAX_TEXT) : message
}
