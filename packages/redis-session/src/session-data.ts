/*
 * What a session may hold: fields of JSON, each written on its own. Names are checked so that none of them can be
 * mistaken for something else, now or by whoever copies them into an object; sizes are bounded, and an error names
 * the field.
 */
import { DataError, TooLargeError } from './errors.ts'

/**
 * Reads one field: answers the value when it is one, and undefined or throws when it is not. Asked before a write and
 * after a load, so data of an older version of the service never reaches a handler.
 */
export type FieldReader<Value> = (value: unknown) => Value | undefined

/** The fields that sessions may have. */
export type FieldReaders = Readonly<Record<string, FieldReader<unknown>>>

/** The data that belongs to readers. */
export type DataOf<Readers extends FieldReaders> = {
  readonly [Name in keyof Readers]: Exclude<ReturnType<Readers[Name]>, undefined>
}

/** How large the data of one session may be. */
export interface DataBounds {
  readonly maxBytes: number
  readonly maxFields: number
}

const namePattern = /^[A-Za-z][A-Za-z0-9_]{0,63}$/
/** Names that mean something on objects, or on the sessions of this and other packages. */
const reservedNames = new Set([
  ...Object.getOwnPropertyNames(Object.prototype),
  ...['prototype', 'then', 'toJSON', 'cookie', 'data', 'degraded', 'destroy', 'elevate', 'get', 'id', 'load'],
  ...['login', 'logout', 'principal', 'regenerate', 'reload', 'remove', 'roles', 'save', 'set', 'tenantId'],
  ...['touch', 'user', 'userId', 'commit', 'update', 'increment', 'pushCapped', 'take', 'onEnd'],
])

/** Raises `HOLDFAST_ERR_REDIS_SESSION_DATA` for a name that no field may have. */
export function checkName(name: unknown): string {
  if (typeof name !== 'string' || !namePattern.test(name)) {
    throw new DataError('data', 'the name of a field is a letter and up to 63 letters, digits and _')
  }
  if (reservedNames.has(name)) throw new DataError(`field "${name}"`, 'the name is reserved')
  return name
}

/** Of more fields than so many a session is read as a whole. */
const MAX_NAMED = 32

export class DataForm {
  readonly bounds: DataBounds
  /** The fields that sessions may have; undefined when nobody knows, or when they are so many that all are read. */
  readonly names: readonly string[] | undefined
  readonly #readers: ReadonlyMap<string, FieldReader<unknown>> | undefined

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_DATA`. Without `readers` any field of JSON is accepted. */
  constructor(readers: FieldReaders | undefined, bounds: DataBounds) {
    this.bounds = bounds
    if (readers === undefined) return
    for (const name of Object.keys(readers)) checkName(name)
    this.#readers = new Map(Object.entries(readers))
    if (this.#readers.size <= MAX_NAMED) this.names = [...this.#readers.keys()]
  }

  /** The text that is kept for a value. Raises `..._DATA`, and `..._TOO_LARGE` when it cannot fit alone. */
  textOf(name: string, value: unknown): string {
    this.#checkField(name)
    const accepted = this.#accepts(name, value)
    const text = accepted === undefined ? undefined : JSON.stringify(accepted)
    if (text === undefined) throw new DataError(`field "${name}"`, 'the value is not one this field can have')
    if (bytesOf(name, text) > this.bounds.maxBytes) throw this.tooLarge(name)
    return text
  }

  /** The value of a text; undefined when it is not, or no longer, one that the field can have. */
  valueOf(name: string, text: string): unknown {
    try {
      return this.#accepts(name, JSON.parse(text))
    } catch {
      return undefined
    }
  }

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_DATA` for a field that sessions do not have. */
  check(name: string): void {
    this.#checkField(name)
  }

  tooLarge(name: string): Error {
    return new TooLargeError(name, `${this.bounds.maxBytes} bytes in ${this.bounds.maxFields} fields`)
  }

  #checkField(name: string): void {
    checkName(name)
    if (this.#readers !== undefined && !this.#readers.has(name)) {
      throw new DataError(`field "${name}"`, 'there is no such field among the fields of the options')
    }
  }

  #accepts(name: string, value: unknown): unknown {
    if (this.#readers === undefined) return value
    return this.#readers.get(name)?.(value)
  }
}

/** What a field adds to the size of a session. */
export function bytesOf(name: string, text: string): number {
  return Buffer.byteLength(name) + Buffer.byteLength(text)
}

/** The largest of some fields: the one that an error should name. */
export function largestOf(fields: ReadonlyMap<string, string>): string {
  let largest = ''
  let most = -1
  for (const [name, text] of fields) {
    const bytes = bytesOf(name, text)
    if (bytes > most) [largest, most] = [name, bytes]
  }
  return largest
}
