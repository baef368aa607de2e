/*
 * The one path that every error takes: it is read, counted, logged and answered, as a problem document or as a page.
 * Guarantees: there is one answer to whatever was thrown; what goes wrong while reading an error (a `classify` that
 * throws) is logged and answered like any fault; nothing is written into an answer that is under way.
 */
import { prefersHtml } from './accept.ts'
import { ExpectationError } from './errors.ts'
import { publishFailed, publishUnreadable } from './events.ts'
import { type Failure, failureOf, titleOf } from './failure.ts'
import { describeInvalid, type SchemaViolation } from './issues.ts'
import { type ErrorPagesOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { PAGE_POLICY, PAGE_TYPE, renderPage } from './page.ts'
import { PROBLEM_TYPE, problemOf } from './problem.ts'
import { answerText, failureOfParser, isAnswering, type SocketLike } from './raw-answer.ts'

/** What this package needs of a Fastify request. */
export interface RequestLike {
  readonly id: string
  readonly method: string
  readonly headers: { readonly accept?: string | undefined }
  readonly log: LogLike
  readonly routeOptions?: { readonly url?: string | undefined }
}

/** What this package needs of a Fastify reply. */
export interface ReplyLike {
  readonly statusCode: number
  code(status: number): unknown
  header(name: string, value: string | number): unknown
  getHeader(name: string): unknown
  send(payload: string): unknown
}

/** What this package needs of a logger. */
export interface LogLike {
  error(told: object, message: string): void
  warn(told: object, message: string): void
  debug(told: object, message: string): void
}

/** What this package needs of a `ServerResponse`. */
export interface ResponseLike {
  writeHead(status: number, headers: Record<string, string | number>): { end(body: string): unknown }
}

/** How an answer was given. */
export type AnswerForm = 'problem' | 'page' | 'socket'

/** Counters as plain data. */
export interface ErrorPagesSnapshot {
  /** Answers by form and status: `{ problem: { 404: 3 } }`. */
  readonly answered: Readonly<Record<AnswerForm, Readonly<Record<number, number>>>>
}

/** Answers errors. Needs no server: the plugin gives it to one. */
export class ErrorPages {
  readonly #options: ResolvedOptions
  /** At most 200 statuses in each form. */
  readonly #answered: Record<AnswerForm, Record<number, number>> = { problem: {}, page: {}, socket: {} }

  /** Raises `HOLDFAST_ERR_ERROR_PAGES_OPTION`. */
  constructor(options: ErrorPagesOptions = {}) {
    this.#options = resolveOptions(options)
  }

  /**
   * For `Fastify({ ...pages.serverOptions })`: what goes wrong before there is a route, or even a request. The plugin
   * alone cannot reach that.
   */
  readonly serverOptions = {
    // The type of Fastify's reply is generic here, and fits no description of it.
    frameworkErrors: (error: unknown, request: RequestLike, reply: object): void =>
      this.answer(error, request, reply as ReplyLike),
    clientErrorHandler: (error: unknown, socket: SocketLike): void => this.answerSocket(error, socket),
    schemaErrorFormatter: (violations: readonly SchemaViolation[], where: string): Error =>
      describeInvalid(violations, where),
  }

  /** Answers `thrown`, whatever that is. */
  answer(thrown: unknown, request: RequestLike, reply: ReplyLike): void {
    const failure = this.#read(thrown, request, reply)
    this.#log(failure, thrown, request)
    const { headers } = this.#options
    for (const name in headers) reply.header(name, headers[name] ?? '')
    for (const [name, value] of Object.entries(failure.headers ?? {})) reply.header(name, value)
    reply.code(failure.status)
    reply.header('cache-control', 'no-store')
    reply.header('vary', varyOf(reply.getHeader('vary')))
    if (failure.retryAfterSeconds !== undefined) reply.header('retry-after', failure.retryAfterSeconds)
    if (prefersHtml(request.headers.accept)) this.#sendPage(failure, request, reply)
    else {
      this.#count('problem', failure.status)
      reply.header('content-type', PROBLEM_TYPE)
      reply.send(JSON.stringify(problemOf(failure, request.id)))
    }
  }

  /** Answers what Node's parser could not read (`clientError`), and ends the connection. */
  answerSocket(error: unknown, socket: SocketLike): void {
    const { code } = (error ?? {}) as { readonly code?: string }
    if (code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
      socket.destroy()
      return
    }
    const failure = failureOfParser(code)
    const correlationId = this.#options.newId()
    publishUnreadable({ status: failure.status, code, correlationId })
    this.#count('socket', failure.status)
    const body = JSON.stringify(problemOf(failure, correlationId))
    const text = answerText(failure, titleOf(failure.status), body, this.#options.headers)
    socket.end(text, () => socket.destroy())
  }

  /** Answers a request with an `Expect` that cannot be met (`checkExpectation`): 417. */
  answerExpectation(response: ResponseLike): void {
    const failure = failureOf(new ExpectationError())
    this.#count('problem', failure.status)
    const body = JSON.stringify(problemOf(failure, this.#options.newId()))
    response
      .writeHead(failure.status, {
        ...this.#options.headers,
        'content-type': PROBLEM_TYPE,
        'cache-control': 'no-store',
        'content-length': Buffer.byteLength(body),
        connection: 'close',
      })
      .end(body)
  }

  /** Counters as plain data. */
  snapshot(): ErrorPagesSnapshot {
    return { answered: structuredClone(this.#answered) }
  }

  #read(thrown: unknown, request: RequestLike, reply: ReplyLike): Failure {
    try {
      return failureOf(thrown, this.#options.classify(thrown), reply.statusCode)
    } catch (error) {
      request.log.error({ err: error }, 'an error could not be read')
      return failureOf(undefined)
    }
  }

  #log({ level, status }: Failure, thrown: unknown, request: RequestLike): void {
    if (level === 'error') {
      request.log.error({ err: thrown }, 'request failed')
      publishFailed({ status, correlationId: request.id, error: thrown })
      return
    }
    const { code, message } = (thrown ?? {}) as { readonly code?: unknown; readonly message?: unknown }
    const route = request.routeOptions?.url
    request.log[level]({ code, reason: message, status, route }, 'request refused')
  }

  #sendPage(failure: Failure, { id, method }: RequestLike, reply: ReplyLike): void {
    const { productName, language, homeUrl, supportUrl, explanations } = this.#options
    this.#count('page', failure.status)
    reply.header('content-type', PAGE_TYPE)
    reply.header('content-security-policy', PAGE_POLICY)
    reply.header('x-content-type-options', 'nosniff')
    reply.header('referrer-policy', 'no-referrer')
    const repeatable = method === 'GET' || method === 'HEAD'
    const parts = {
      productName,
      language,
      homeUrl,
      supportUrl,
      explanations,
      correlationId: id,
      repeatable,
    }
    reply.send(renderPage(failure, parts))
  }

  #count(form: AnswerForm, status: number): void {
    this.#answered[form][status] = (this.#answered[form][status] ?? 0) + 1
  }
}

/** Which of the two is sent depends on `Accept`, besides what it depended on before. */
function varyOf(given: unknown): string {
  if (typeof given !== 'string' || given === '') return 'accept'
  return given === '*' || /\baccept\b(?!-)/i.test(given) ? given : `${given}, accept`
}
