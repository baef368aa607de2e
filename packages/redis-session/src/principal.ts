/* Who is signed in. Kept as one text beside the data, and no field of it: only a login can change it. */
import { DataError } from './errors.ts'

/** Who signs in. */
export interface Principal {
  /** 1 to 128 characters. */
  readonly userId: string
  /** Up to 128 characters. Default: none. */
  readonly tenantId?: string | undefined
  /** Up to 32, of 1 to 64 characters. Default: none. */
  readonly roles?: readonly string[] | undefined
  /** How he proved it, for example `['pwd', 'otp']` (RFC 8176). Up to 8. Default: none. */
  readonly methods?: readonly string[] | undefined
}

/** Who is signed in. */
export interface SessionUser {
  readonly userId: string
  readonly tenantId: string | undefined
  readonly roles: readonly string[]
  readonly methods: readonly string[]
}

const MAX_ID = 128
const MAX_WORD = 64
const MAX_ROLES = 32
const MAX_METHODS = 8

/** Raises `HOLDFAST_ERR_REDIS_SESSION_DATA` for a principal that is none. */
export function userOf(principal: Principal): SessionUser {
  const user = readUser(principal)
  if (user !== undefined) return user
  throw new DataError(
    'principal',
    `userId and tenantId are texts of 1 to ${MAX_ID} characters, roles up to ${MAX_ROLES} and methods up to ${MAX_METHODS} texts of 1 to ${MAX_WORD} characters`,
  )
}

/** Raises `HOLDFAST_ERR_REDIS_SESSION_DATA` for what can be no user: nothing would be found, and nothing ended. */
export function requireUserId(userId: unknown): string {
  if (isText(userId, MAX_ID)) return userId
  throw new DataError('userId', `it is a text of 1 to ${MAX_ID} characters`)
}

export function textOfUser({ userId, tenantId, roles, methods }: SessionUser): string {
  return JSON.stringify({ userId, tenantId, roles, methods })
}

/** Undefined for a text that says nobody this version of the package knows how to trust. */
export function userOfText(text: string): SessionUser | undefined {
  try {
    return readUser(JSON.parse(text))
  } catch {
    return undefined
  }
}

function readUser(given: unknown): SessionUser | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  const { userId, tenantId, roles = [], methods = [] } = given as Readonly<Record<string, unknown>>
  if (!isText(userId, MAX_ID)) return undefined
  if (tenantId !== undefined && !isText(tenantId, MAX_ID)) return undefined
  if (!isWords(roles, MAX_ROLES) || !isWords(methods, MAX_METHODS)) return undefined
  return Object.freeze({
    userId,
    tenantId,
    roles: Object.freeze([...roles]),
    methods: Object.freeze([...methods]),
  })
}

function isText(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxLength && value.isWellFormed()
}

function isWords(value: unknown, maximum: number): value is readonly string[] {
  return Array.isArray(value) && value.length <= maximum && value.every((word) => isText(word, MAX_WORD))
}
