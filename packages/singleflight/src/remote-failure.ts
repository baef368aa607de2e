/*
 * A failure on its way to another process: what callers decide by (code, status, class of failure, when to come
 * back) and what people read (name, message). Never a stack, never other properties: they may hold what only the
 * process that made them should see.
 */
import { RemoteFailedError } from './errors.ts'

/** What is carried. */
interface FailureRecord {
  readonly name?: string
  readonly message: string
  readonly code?: string
  readonly statusCode?: number
  readonly retryAfterMs?: number
  readonly retryAfterSeconds?: number
  readonly retryable: boolean
}

/** The error of a follower in another process. */
export interface RemoteFailure extends Error {
  /** The code of the original where it has one, else `HOLDFAST_ERR_SINGLEFLIGHT_REMOTE_FAILED`. */
  readonly code: string
  readonly statusCode: number
  /** Whether the same call may succeed later, as `isRetryable` said in the process where the work ran. */
  readonly retryable: boolean
  readonly retryAfterMs?: number
  readonly retryAfterSeconds?: number
}

/** Characters of a message, code or name that travel. */
const MAX_MESSAGE = 1000
const MAX_WORD = 100

const RETRYABLE_CLIENT_ERRORS = new Set([408, 425, 429])

/** A 4xx says that the call is wrong and will fail again, except where the code itself says "later". */
export function isRetryableByStatus(error: unknown): boolean {
  const status = numberOf(error, 'statusCode')
  return status === undefined || status < 400 || status >= 500 || RETRYABLE_CLIENT_ERRORS.has(status)
}

/** Never throws, whatever was thrown. */
export function encodeFailure(error: unknown, retryable: boolean): Buffer {
  const record: FailureRecord = { ...readError(error), retryable }
  return Buffer.from(JSON.stringify(record))
}

function readError(error: unknown): Omit<FailureRecord, 'retryable'> {
  try {
    if (!(error instanceof Error)) return { message: `the work rejected with ${shown(error)}` }
    return {
      ...defined('name', textOf(error, 'name')),
      message: textOf(error, 'message') ?? 'the work rejected with an error whose message is no text',
      ...defined('code', textOf(error, 'code')),
      ...defined('statusCode', numberOf(error, 'statusCode')),
      ...defined('retryAfterMs', numberOf(error, 'retryAfterMs')),
      ...defined('retryAfterSeconds', numberOf(error, 'retryAfterSeconds')),
    }
  } catch {
    // A getter or a proxy.
    return { message: 'the work rejected with an error that cannot be read' }
  }
}

/** Answers an error also for a record that cannot be read. */
export function decodeFailure(bytes: Buffer): RemoteFailure {
  const record = parse(bytes)
  const message = textOf(record, 'message') ?? 'the work failed, and its record cannot be read'
  const { name: ownName, ...rest } = {
    name: textOf(record, 'name'),
    ...defined('code', textOf(record, 'code')),
    ...defined('statusCode', numberOf(record, 'statusCode')),
    ...defined('retryAfterMs', numberOf(record, 'retryAfterMs')),
    ...defined('retryAfterSeconds', numberOf(record, 'retryAfterSeconds')),
  }
  const error = new RemoteFailedError(message)
  // The stack would lead to whoever read the message, not to what failed.
  error.stack = `${ownName ?? error.name}: ${message}\n    at the process that ran the work`
  const name = ownName === undefined ? {} : { name: ownName }
  return Object.assign(error, name, rest, {
    retryable: memberOf(record, 'retryable') !== false,
  }) as RemoteFailure
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function defined<Name extends string, T>(name: Name, value: T | undefined): { readonly [name in Name]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [name in Name]: T })
}

function memberOf(source: unknown, name: string): unknown {
  return typeof source === 'object' && source !== null ? Reflect.get(source, name) : undefined
}

function textOf(source: unknown, name: string): string | undefined {
  const value = memberOf(source, name)
  return typeof value === 'string' ? value.slice(0, name === 'message' ? MAX_MESSAGE : MAX_WORD) : undefined
}

function numberOf(source: unknown, name: string): number | undefined {
  const value = memberOf(source, name)
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_MESSAGE))
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object that is no Error' : String(value)
}
