/*
 * The one path that every error takes: it is read, counted, logged and answered, as a problem document or as a page.
 * Guarantees: there is one answer to whatever was thrown; what goes wrong while reading an error (a `classify` that
 * throws) is logged and answered like any fault; nothing is written into an answer that is under way; what the handler
 * has said about the content of its own answer is not said about this one.
 */
import type { IncomingMessage } from 'node:http'
import { answerBare, type BareSocket, canAnswer } from '@holdfast/footing'
import { prefersHtml } from './accept.ts'
import {
  forgetContent,
  type Headers,
  type HeadersLike,
  SENDABLE,
  sendable,
  setAll,
  varyOf,
} from './answer-headers.ts'
import { ExpectationError, NotFoundError } from './errors.ts'
import { publishFailed, publishUnreadable } from './events.ts'
import { type Failure, failureOf } from './failure.ts'
import { describeInvalid, type SchemaViolation } from './issues.ts'
import { type ErrorPagesOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import { PAGE_POLICY, PAGE_TYPE, renderPage } from './page.ts'
import { PROBLEM_TYPE, type ProblemHead, problemHead, problemText } from './problem.ts'
import { failureOfParser } from './unread.ts'

/** What this package needs of a Fastify request. */
export interface RequestLike {
  readonly id: string
  readonly method: string
  readonly headers: { readonly accept?: string | undefined }
  readonly log: LogLike
  readonly routeOptions?: { readonly url?: string | undefined }
}

/** What this package needs of a Fastify reply. */
export interface ReplyLike extends HeadersLike {
  readonly statusCode: number
  code(status: number): unknown
  serializer(serialize: (payload: string) => string): unknown
  send(payload: string): unknown
}

/** What this package needs of a logger. */
export interface LogLike {
  error(told: object, message: string): void
  warn(told: object, message: string): void
  debug(told: object, message: string): void
}

/** A page that tells an error, ready to be sent with its status. */
export interface ErrorPage {
  /** Whatever belongs to it, but for `Content-Length` and `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What this package needs of a `ServerResponse`. */
export interface ResponseLike {
  writeHead(status: number, headers: Record<string, string | number>): { end(body: string): unknown }
}

/** By what an answer on a bare socket is found again. */
export interface SocketName {
  readonly correlationId: string
  readonly headers: Readonly<Record<string, string>>
}

/** What was answered there. */
export interface SocketAnswer {
  readonly status: number
  /** Node's code for what was wrong. */
  readonly code: string | undefined
}

/** How an answer was given. */
export type AnswerForm = 'problem' | 'page' | 'socket'

/** Counters as plain data. */
export interface ErrorPagesSnapshot {
  /** Answers by form and status: `{ problem: { 404: 3 } }`. */
  readonly answered: Readonly<Record<AnswerForm, Readonly<Record<number, number>>>>
}

interface Told {
  readonly failure: Failure
  readonly head: ProblemHead
}

/** Answers errors. Needs no server: the plugin gives it to one. */
export class ErrorPages {
  readonly #options: ResolvedOptions
  /** Of the option. */
  readonly #headers: Headers
  /** What is told of unknown addresses, from the first one on: it is the same for all of them. */
  #unknown: Told | undefined
  /** At most 200 statuses in each form. */
  readonly #answered: Record<AnswerForm, Record<number, number>> = { problem: {}, page: {}, socket: {} }

  /** Raises `HOLDFAST_ERR_ERROR_PAGES_OPTION`. */
  constructor(options: ErrorPagesOptions = {}) {
    this.#options = resolveOptions(options)
    this.#headers = Object.entries(this.#options.headers)
  }

  /**
   * For `Fastify({ ...pages.serverOptions })`: what goes wrong before there is a route, or even a request. The plugin
   * alone cannot reach that.
   */
  readonly serverOptions = {
    // The type of Fastify's reply is generic here, and fits no description of it.
    frameworkErrors: (error: unknown, request: RequestLike, reply: object): void =>
      this.answer(error, request, reply as ReplyLike),
    clientErrorHandler: (error: unknown, socket: BareSocket): void => void this.answerSocket(error, socket),
    schemaErrorFormatter: (violations: readonly SchemaViolation[], where: string): Error =>
      describeInvalid(violations, where),
  }

  /** Answers `thrown`, whatever that is. */
  answer(thrown: unknown, request: RequestLike, reply: ReplyLike): void {
    const failure = this.#read(thrown, request, reply.statusCode)
    this.#log(failure, thrown, request, request.routeOptions?.url)
    this.#send(failure, problemHead(failure), request, reply)
  }

  /** Answers a request at an address where nothing is. */
  answerUnknown(request: RequestLike, reply: ReplyLike): void {
    const { failure, head } = this.#unknown ?? this.#readUnknown(request)
    this.#log(failure, NOTHING_HERE, request, undefined)
    this.#send(failure, head, request, reply)
  }

  /**
   * Answers where the hooks that see every answer have failed at the answer to an error, too, and past them. `headers` are
   * those that are set already.
   */
  answerPastHooks(
    thrown: unknown,
    request: RequestLike,
    response: ResponseLike,
    headers: Readonly<Record<string, unknown>>,
  ): void {
    const failure = this.#read(thrown, request)
    this.#log(failure, thrown, request, request.routeOptions?.url)
    const { retryAfterSeconds } = failure
    this.#write(failure, request.id, response, {
      ...headers,
      ...failure.headers,
      ...(retryAfterSeconds !== undefined && { 'retry-after': retryAfterSeconds }),
    })
  }

  /**
   * The page that tells an error to somebody who prefers pages; undefined for programs. Sends nothing: for plugins that
   * answer themselves, such as the option `page` of `@holdfast/tenant-rate-limit`.
   */
  pageFor(request: RequestLike, thrown: unknown): ErrorPage | undefined {
    if (!prefersHtml(request.headers.accept)) return undefined
    const failure = this.#read(thrown, request)
    this.#log(failure, thrown, request, request.routeOptions?.url)
    return {
      headers: {
        ...this.#options.headers,
        ...failure.headers,
        ...this.#idHeader(request.id),
        'cache-control': 'no-store',
        vary: 'accept',
        ...Object.fromEntries(HEADERS_OF_PAGES),
      },
      body: this.#render(failure, request),
    }
  }

  /**
   * Answers what Node's parser could not read (`clientError`), and ends the connection; also for a `CONNECT`, with an error
   * whose `statusCode` is 405. `named` makes the id of the answer,
   * and headers that name it, for whoever gives ids to all answers. Undefined: there is nobody to answer, or an answer is
   * under way.
   */
  answerSocket(error: unknown, socket: BareSocket, named?: () => SocketName): SocketAnswer | undefined {
    const { code } = (error ?? {}) as { readonly code?: string }
    if (!canAnswer(code, socket)) {
      socket.destroy()
      return undefined
    }
    const failure = failureOfParser(error)
    const { status } = failure
    const { correlationId, headers } = named?.() ?? this.#newName()
    publishUnreadable({ status, code, correlationId })
    this.#count('socket', status)
    answerBare(socket, {
      status,
      headers: {
        ...this.#options.socketHeaders,
        ...headers,
        'content-type': PROBLEM_TYPE,
        'cache-control': 'no-store',
      },
      body: problemText(problemHead(failure), correlationId),
    })
    return { status, code }
  }

  /** Answers a request with an `Expect` that cannot be met (`checkExpectation`): 417. */
  answerExpectation(request: IncomingMessage, response: ResponseLike): void {
    this.#write(failureOf(new ExpectationError()), this.#options.newId(request), response, {
      connection: 'close',
    })
  }

  /** Counters as plain data. */
  snapshot(): ErrorPagesSnapshot {
    return { answered: structuredClone(this.#answered) }
  }

  #send(failure: Failure, head: ProblemHead, request: RequestLike, reply: ReplyLike): void {
    forgetContent(reply)
    setAll(reply, this.#headers)
    if (failure.headers !== undefined) setAll(reply, Object.entries(failure.headers))
    reply.code(failure.status)
    const { idHeader } = this.#options
    if (idHeader !== undefined && SENDABLE.test(request.id)) reply.header(idHeader, request.id)
    if (failure.retryAfterSeconds !== undefined) reply.header('retry-after', failure.retryAfterSeconds)
    reply.header('cache-control', 'no-store')
    reply.header('vary', varyOf(reply.getHeader('vary')))
    // One that the handler has chosen would be applied to what is text already.
    reply.serializer(asItIs)
    if (prefersHtml(request.headers.accept)) {
      setAll(reply, HEADERS_OF_PAGES)
      reply.send(this.#render(failure, request))
    } else {
      this.#count('problem', failure.status)
      reply.header('content-type', PROBLEM_TYPE)
      reply.send(problemText(head, request.id))
    }
  }

  /** A document without a reply of Fastify. */
  #write(
    failure: Failure,
    id: string,
    response: ResponseLike,
    headers: Readonly<Record<string, unknown>>,
  ): void {
    this.#count('problem', failure.status)
    const body = problemText(problemHead(failure), id)
    response
      .writeHead(failure.status, {
        ...sendable(headers),
        ...this.#options.headers,
        ...this.#idHeader(id),
        'content-type': PROBLEM_TYPE,
        'cache-control': 'no-store',
        'content-length': Buffer.byteLength(body),
      })
      .end(body)
  }

  #newName(): SocketName {
    const correlationId = this.#options.newId()
    return { correlationId, headers: this.#idHeader(correlationId) }
  }

  #idHeader(id: string): Readonly<Record<string, string>> {
    const { idHeader } = this.#options
    return idHeader !== undefined && SENDABLE.test(id) ? { [idHeader]: id } : {}
  }

  #read(thrown: unknown, request: RequestLike, statusOfReply?: number): Failure {
    try {
      return failureOf(thrown, this.#options.classify(thrown), statusOfReply)
    } catch (error) {
      request.log.error({ err: error }, 'an error could not be read')
      return failureOf(undefined)
    }
  }

  #readUnknown(request: RequestLike): Told {
    const failure = this.#read(NOTHING_HERE, request)
    const told = { failure, head: problemHead(failure) }
    // A `classify` that has failed is asked again.
    if (failure.level !== 'error') this.#unknown = told
    return told
  }

  #log({ level, status }: Failure, thrown: unknown, request: RequestLike, route: string | undefined): void {
    if (level === 'error') {
      request.log.error({ err: thrown }, 'request failed')
      publishFailed({ status, correlationId: request.id, error: thrown })
      return
    }
    const { code, message } = (thrown ?? {}) as { readonly code?: unknown; readonly message?: unknown }
    request.log[level]({ code, reason: message, status, route }, 'request refused')
  }

  #render(failure: Failure, { id, method }: RequestLike): string {
    const { productName, language, homeUrl, supportUrl, explanations } = this.#options
    this.#count('page', failure.status)
    const repeatable = method === 'GET' || method === 'HEAD'
    return renderPage(failure, {
      productName,
      language,
      homeUrl,
      supportUrl,
      explanations,
      correlationId: id,
      repeatable,
    })
  }

  #count(form: AnswerForm, status: number): void {
    this.#answered[form][status] = (this.#answered[form][status] ?? 0) + 1
  }
}

/** One for all: what it would tell of one request, nobody looks at, and to make an error costs more than the answer. */
const NOTHING_HERE = new NotFoundError()

const HEADERS_OF_PAGES: Headers = [
  ['content-type', PAGE_TYPE],
  ['content-security-policy', PAGE_POLICY],
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
]

function asItIs(text: string): string {
  return text
}
