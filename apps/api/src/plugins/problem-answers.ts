// Every error of the service is a problem document (RFC 9457), and none tells a caller how the inside looks:
// what the service caused itself (5xx) is logged in full and answered with one sentence. A refusal that says when to
// come back is no mistake of anybody: it is answered quickly, thousands of times a second if need be, and whoever
// refuses logs once that he does.

import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { RetryAfter } from '@holdfast/footing'
import type {
  ConnectionError,
  FastifyError,
  FastifyReply,
  FastifyRequest,
  FastifySchemaValidationError,
} from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { unavailability } from '../db/unavailable.ts'

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** A problem document. */
export interface Problem {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly detail: string
  /** Stable and made for programs. */
  readonly error: string
  /** Seconds until a new try makes sense; the same as the header `Retry-After`. */
  readonly retry_after?: number
}

/** Answers errors and unknown paths with problem documents. */
export const problemAnswers = fastifyPlugin(
  (app, _options: object, done) => {
    app.setErrorHandler(answerError)
    app.setNotFoundHandler((request, reply) => {
      void sendProblem(reply, 404, 'not_found', `There is nothing at ${request.method} ${pathOf(request)}.`)
    })
    done()
  },
  { fastify: '5.x', name: '@holdfast/api/problem-answers' },
)

/** Answers an error that reached Fastify, or that Fastify raised before it found a route. */
export function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const unavailable = unavailability(error)
  const given = unavailable?.status ?? error.statusCode ?? 500
  const status = given >= 400 && given <= 599 ? given : 500
  if (status < 500) {
    // Only a refusal for now says so: 429.
    const { retryAfterSeconds } = error as FastifyError & Partial<RetryAfter>
    // Fastify would repeat the whole address, and with it the query.
    const detail = error.code === 'FST_ERR_BAD_URL' ? 'The path cannot be decoded.' : error.message
    void sendProblem(reply, status, error.code ?? codeOf(status), detail, retryAfterSeconds)
    return
  }
  if (unavailable === undefined) request.log.error({ err: error }, 'request failed')
  else {
    const told = { code: error.code, reason: error.message, route: request.routeOptions.url }
    request.log[unavailable.refused ? 'debug' : 'warn'](told, 'request refused for now')
  }
  const detail = DETAILS.get(status) ?? DETAIL_OTHERWISE
  void sendProblem(reply, status, codeOf(status), detail, unavailable?.retryAfterSeconds)
}

/** For Fastify's `schemaErrorFormatter`: which member is wrong, and what it may be. */
export function describeInvalid([first]: readonly FastifySchemaValidationError[], where: string): Error {
  const { instancePath = '', message = 'is wrong', params = {} } = first ?? {}
  const { allowedValues, additionalProperty } = params
  const name = instancePath.slice(1).replaceAll('/', '.')
  const subject = name === '' ? `the ${where === 'querystring' ? 'query' : where}` : name
  if (Array.isArray(allowedValues)) return new Error(`${subject} must be one of ${allowedValues.join(', ')}`)
  if (additionalProperty !== undefined)
    return new Error(`${subject} must not have ${JSON.stringify(additionalProperty)}`)
  return new Error(`${subject} ${message}`)
}

const DETAIL_OTHERWISE = 'The service could not answer this request.'
const DETAILS: ReadonlyMap<number, string> = new Map([
  [503, 'This is not available at the moment.'],
  [504, 'This took too long.'],
])

/** Answers what is not a request that Node can read, and so never becomes one that Fastify sees. */
export function answerUnreadable({ code }: ConnectionError, socket: Socket): void {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, detail } = UNREADABLE.get(code) ?? UNREADABLE_OTHERWISE
  const body = JSON.stringify(problemOf(status, codeOf(status), detail))
  const head = [
    `HTTP/1.1 ${status} ${titleOf(status)}`,
    `content-type: ${PROBLEM_TYPE}`,
    'cache-control: no-store',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

const UNREADABLE_OTHERWISE = { status: 400, detail: 'This is not an HTTP request.' }
const UNREADABLE: ReadonlyMap<string | undefined, typeof UNREADABLE_OTHERWISE> = new Map([
  ['HPE_HEADER_OVERFLOW', { status: 431, detail: 'The path and the headers are too long.' }],
  ['ERR_HTTP_REQUEST_TIMEOUT', { status: 408, detail: 'The request took too long to arrive.' }],
])

function sendProblem(
  reply: FastifyReply,
  status: number,
  error: string,
  detail: string,
  retryAfter?: number,
): FastifyReply {
  const problem = problemOf(status, error, detail, retryAfter)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  return reply.code(status).type(PROBLEM_TYPE).header('cache-control', 'no-store').send(problem)
}

function problemOf(status: number, error: string, detail: string, retryAfter?: number): Problem {
  const retry = retryAfter === undefined ? {} : { retry_after: retryAfter }
  return { type: 'about:blank', title: titleOf(status), status, detail, error, ...retry }
}

function titleOf(status: number): string {
  return STATUS_CODES[status] ?? 'Error'
}

/** `Service Unavailable` becomes `service_unavailable`. */
function codeOf(status: number): string {
  return titleOf(status)
    .toLowerCase()
    .replaceAll(/[^a-z]+/g, '_')
}

/** The path without the query, which may hold what should not be repeated; at most 200 characters. */
function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1).join('').slice(0, 200)
}
