// What the lines of one request, or of one job, have in common.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { pathOf } from '@holdfast/footing'
import type { Line, LogScope } from './log-line.ts'
import { givenId, type IdSource, isHarmlessId } from './request-ids.ts'
import { formatTraceParent, parseTraceParent, passableTraceState, type TraceParent } from './trace-parent.ts'

/** What this package needs of a Fastify request. */
export interface RequestLike {
  readonly raw: IncomingMessage
  readonly log: object
  readonly routeOptions: { readonly url?: string | undefined; readonly config?: object | undefined }
}

/** What this package needs of a Fastify reply. */
export interface ReplyLike {
  readonly raw: ServerResponse
  getHeader(name: string): unknown
}

/** What all scopes of one `Logs` share. */
export interface ScopeSource {
  readonly ids: IdSource
  readonly nowMs: () => number
  /** Whether the ids and the trace that this request came with may be taken. */
  readonly trusts: (request: IncomingMessage) => boolean
  readonly tenant: (request: RequestLike) => string | undefined
  readonly user: (request: RequestLike) => string | undefined
}

const MAX_NAME = 128

/** The scope of a request, from its first byte to the end of its answer. */
export class RequestScope implements LogScope {
  readonly correlationId: string
  readonly requestId: string
  readonly trace: TraceParent | undefined
  readonly startedMs: number
  readonly method: string | undefined
  /** Undefined when it is over: what lines say of it is remembered then, and the request itself is not kept. */
  #raw: Pick<IncomingMessage, 'url' | 'headers'> | undefined
  #path: string | undefined
  /** Set when Fastify has the request; what Node answers itself has none. */
  request: RequestLike | undefined
  reply: ReplyLike | undefined
  /** What went wrong with the answer after it had begun. */
  failure: unknown
  /** Whether its answer was written to the bare socket, past its response. */
  answeredPast = false
  /** Whether somebody watches for the end of its answer. */
  followed = false
  /** Whether the line of this request is written, or was left out on purpose. */
  completed = false
  readonly #source: ScopeSource
  #spanId: string | undefined
  #tenant: string | undefined
  #user: string | undefined

  constructor(raw: IncomingMessage, source: ScopeSource) {
    this.#source = source
    this.#raw = raw
    this.method = raw.method
    this.startedMs = source.nowMs()
    this.requestId = source.ids.next()
    const { headers } = raw
    const isTrusted = source.trusts(raw)
    this.correlationId = (isTrusted ? givenId(headers) : undefined) ?? this.requestId
    // Most requests have none; the header is not even looked at twice.
    this.trace =
      isTrusted && headers['traceparent'] !== undefined ? parseTraceParent(headers['traceparent']) : undefined
  }

  /** The span that this request is in its trace. */
  get spanId(): string | undefined {
    if (this.trace !== undefined) this.#spanId ??= this.#source.ids.span()
    return this.#spanId
  }

  /** Whose request it is; undefined where nobody knows, or knowing fails. */
  get tenant(): string | undefined {
    return this.completed ? this.#tenant : this.#known(this.#source.tenant)
  }

  /** Who asks. */
  get user(): string | undefined {
    return this.completed ? this.#user : this.#known(this.#source.user)
  }

  /** Without its query. */
  get path(): string {
    if (this.#path !== undefined) return this.#path
    return pathOf(this.#raw?.url ?? '/')
  }

  describe(line: Line): void {
    line['correlation_id'] = this.correlationId
    line['request_id'] = this.requestId
    if (this.trace !== undefined) {
      line['trace_id'] = this.trace.traceId
      line['span_id'] = this.spanId
    }
    const { tenant, user } = this
    if (tenant !== undefined) line['tenant'] = tenant
    if (user !== undefined) line['user_id'] = user
    line['method'] = this.method
    line['path'] = this.path
  }

  /** Headers for what is asked on behalf of this request. */
  outgoing(): Record<string, string> {
    return outgoing(this.correlationId, this.trace, this.spanId, this.#raw?.headers['tracestate'])
  }

  /** The answer is over: what lines say of the request is from now on what it is now. */
  settle(): void {
    this.#tenant = this.tenant
    this.#user = this.user
    this.#path = this.path
    this.completed = true
  }

  /** Whoever goes on under this scope, a timer perhaps, does not keep the request alive. */
  release(): void {
    this.#raw = undefined
    this.request = undefined
    this.reply = undefined
    this.failure = undefined
  }

  #known(ask: (request: RequestLike) => string | undefined): string | undefined {
    if (this.request === undefined) return undefined
    try {
      return nameOf(ask(this.request))
    } catch {
      return undefined
    }
  }
}

/** Who and what a job is for; plain data, fit for the payload of a queue. */
export interface Carrier {
  /** Of what the job belongs to. A harmful one is replaced. Default: a new one. */
  readonly correlationId?: string | undefined
  readonly traceparent?: string | undefined
  readonly tenant?: string | undefined
  readonly userId?: string | undefined
  /** The name of the job. */
  readonly job?: string | undefined
}

/** The scope of work that no request waits for. */
export class JobScope implements LogScope {
  readonly correlationId: string
  readonly trace: TraceParent | undefined
  readonly spanId: string | undefined
  readonly #carrier: Carrier

  constructor(carrier: Carrier, ids: IdSource) {
    // A payload that is none is no reason for a job not to run.
    const given: Carrier = Object(carrier)
    this.#carrier = given
    this.correlationId = isHarmlessId(given.correlationId) ? given.correlationId : ids.next()
    this.trace = parseTraceParent(given.traceparent)
    this.spanId = this.trace === undefined ? undefined : ids.span()
  }

  describe(line: Line): void {
    line['correlation_id'] = this.correlationId
    if (this.trace !== undefined) {
      line['trace_id'] = this.trace.traceId
      line['span_id'] = this.spanId
    }
    const { tenant, userId, job } = this.#carrier
    if (tenant !== undefined) line['tenant'] = nameOf(tenant)
    if (userId !== undefined) line['user_id'] = nameOf(userId)
    if (job !== undefined) line['job'] = nameOf(job)
  }

  outgoing(): Record<string, string> {
    return outgoing(this.correlationId, this.trace, this.spanId, undefined)
  }
}

function outgoing(
  correlationId: string,
  trace: TraceParent | undefined,
  spanId: string | undefined,
  state: unknown,
): Record<string, string> {
  const headers: Record<string, string> = { 'x-correlation-id': correlationId }
  if (trace !== undefined && spanId !== undefined) {
    headers['traceparent'] = formatTraceParent(trace.traceId, spanId, trace.sampled)
    const passable = passableTraceState(state)
    if (passable !== undefined) headers['tracestate'] = passable
  }
  return headers
}

function nameOf(given: unknown): string | undefined {
  return typeof given === 'string' ? given.slice(0, MAX_NAME) : undefined
}
