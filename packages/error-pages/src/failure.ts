// What an error means for whoever asked: a status, a code, a sentence. Pure. Guarantees: what the service caused itself
// (5xx) is told in general words unless the error says `expose: true`; of the request nothing is repeated but names of
// members; whatever was thrown, there is an answer, and it can be sent.

import { STATUS_CODES } from 'node:http'
import { isOfContent } from '@holdfast/footing'
import { type Issue, issuesOf, knownIssues } from './issues.ts'
import { oneLine } from './one-line.ts'

const MAX_RETRY_SECONDS = 31_536_000

/** Why there is no answer of the kind that was asked for. */
export interface Failure {
  /** 400 to 599. */
  readonly status: number
  /** Stable and made for programs. */
  readonly error: string
  /** One or two sentences for whoever asked. */
  readonly detail: string
  /** Seconds until a new try makes sense, at least 1. */
  readonly retryAfterSeconds?: number
  readonly issues?: readonly Issue[]
  /** Headers that belong to the answer, such as `WWW-Authenticate`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the service is down on purpose. */
  readonly maintenance: boolean
  /** How it is logged: `error` for what went wrong here, `debug` for what the caller did, and for refusals for now. */
  readonly level: 'error' | 'warn' | 'debug'
}

/** What the application knows about an error; what it leaves out is read from the error. */
export interface Classification {
  /** 400 to 599. */
  readonly status?: number
  readonly error?: string
  /** Told, also with a 5xx. */
  readonly detail?: string
  readonly retryAfterSeconds?: number
  readonly level?: Failure['level']
}

/** Reads an error of any kind, also one that is no error at all. `given` is what the application says about it. */
export function failureOf(thrown: unknown, given: Classification = {}, statusOfReply = 500): Failure {
  const error = membersOf(thrown)
  const status = firstStatus(given.status, error.statusCode, error.status, statusOfReply)
  const told = error.expose === true || (status < 500 && error.expose !== false)
  const headers = told && error.headers !== undefined ? headersOf(error.headers) : undefined
  const retryAfterSeconds = secondsOf(
    given.retryAfterSeconds ?? error.retryAfterSeconds ?? numberIn(headers?.['retry-after']),
  )
  const issues = told ? issuesIn(error) : []
  return {
    status,
    error: given.error ?? (told ? codeOf(error.code) : undefined) ?? wordOf(status),
    detail:
      given.detail ??
      DETAILS_OF_FASTIFY.get(error.code) ??
      (told ? detailOf(error, status) : genericDetail(status)),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    ...(issues.length > 0 && { issues }),
    ...(headers !== undefined && { headers }),
    maintenance: error.page === 'maintenance',
    level: given.level ?? levelOf(status, error),
  }
}

/** `Service Unavailable` becomes `service_unavailable`. */
export function wordOf(status: number): string {
  return titleOf(status)
    .toLowerCase()
    .replaceAll(/[^a-z]+/g, '_')
}

/** HTTP's own name of a status. */
export function titleOf(status: number): string {
  return STATUS_CODES[status] ?? 'Error'
}

interface Members {
  readonly code?: unknown
  readonly message?: unknown
  readonly statusCode?: unknown
  readonly status?: unknown
  readonly expose?: unknown
  readonly page?: unknown
  readonly headers?: unknown
  readonly issues?: unknown
  readonly validation?: unknown
  readonly validationContext?: unknown
  readonly retryAfterSeconds?: unknown
}

function membersOf(thrown: unknown): Members {
  return typeof thrown === 'object' && thrown !== null ? thrown : {}
}

function firstStatus(...candidates: readonly unknown[]): number {
  for (const each of candidates) {
    if (typeof each === 'number' && Number.isInteger(each) && each >= 400 && each <= 599) return each
  }
  return 500
}

function secondsOf(value: unknown): number | undefined {
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined
  return Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(value)))
}

function codeOf(code: unknown): string | undefined {
  return typeof code === 'string' && /^[A-Za-z0-9_.-]{1,80}$/.test(code) ? code : undefined
}

function detailOf({ message }: Members, status: number): string {
  if (typeof message !== 'string' || message === '') return genericDetail(status)
  return oneLine(message)
}

/** What a validator has found, or what the error says itself. */
function issuesIn({ issues, validation, validationContext }: Members): readonly Issue[] {
  if (Array.isArray(issues)) return knownIssues(issues)
  return Array.isArray(validation) ? issuesOf(validation, validationContext) : []
}

/**
 * Only what can be sent: a header that cannot would take the whole answer with it. Errors of clients carry the headers of
 * the server that was asked: its cookies, its connection and the form of its body are nothing of ours.
 */
function headersOf(given: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(membersOf(given)).flatMap(([given, value]) => {
    const name = given.toLowerCase()
    const text = typeof value === 'number' ? String(value) : value
    const fits =
      /^[\w-]+$/.test(name) && !isOfContent(name) && !OF_A_CONNECTION.has(name) && typeof text === 'string'
    return fits && /^[\t\x20-\x7e]*$/.test(text) ? [[name, text]] : []
  })
  return Object.fromEntries(entries)
}

const OF_A_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'date',
  'keep-alive',
  'proxy-connection',
  'server',
  'set-cookie',
  'te',
  'upgrade',
  'via',
])

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined
}

/** Who refuses for now logs once that he does; each refusal again would be a flood. */
function levelOf(status: number, { retryAfterSeconds, page }: Members): Failure['level'] {
  if (status < 500 || page === 'maintenance') return 'debug'
  return (status === 503 || status === 504) && retryAfterSeconds !== undefined ? 'debug' : 'error'
}

/** Fastify's own words would repeat the path, the type or the body. */
const DETAILS_OF_FASTIFY: ReadonlyMap<unknown, string> = new Map([
  ['FST_ERR_BAD_URL', 'The path cannot be decoded.'],
  ['FST_ERR_MAX_PARAM_LENGTH', 'The address is too long.'],
  ['FST_ERR_INVALID_URL', 'The address cannot be read.'],
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'The body is larger than this service takes.'],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'The type of the body is none that is read here.'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'The body has another length than was announced.'],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', 'The body is empty, and its type says that it is JSON.'],
  ['FST_ERR_CTP_INVALID_JSON_BODY', 'The body is not valid JSON.'],
  ['FST_ERR_HANDLER_TIMEOUT', 'This took too long. Look whether it was done before you try again.'],
])

const DETAILS: ReadonlyMap<number, string> = new Map([
  [400, 'The request cannot be understood.'],
  [401, 'Sign in to go on.'],
  [403, 'You are not allowed to do this.'],
  [404, 'There is nothing at this address.'],
  [429, 'There were too many requests.'],
  [503, 'This is not available at the moment.'],
  [504, 'This took too long.'],
])

/** What is told about a status when nobody says more. */
export function genericDetail(status: number): string {
  const given = DETAILS.get(status)
  if (given !== undefined) return given
  return status < 500
    ? 'The request cannot be answered as it is.'
    : 'The service could not answer this request.'
}
