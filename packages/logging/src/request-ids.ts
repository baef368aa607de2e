// By which ids the log and the answers know a request.
//
// The correlation id names what belongs together: the one that came with the request, when it is harmless, else a new
// one. The request id names this one request and is never taken from outside, so that whoever repeats a correlation id
// cannot make two requests look like one. Where nothing usable came both are the same: the chain begins here.
// An id that is taken is safe in a header, in a line, in a file name and in a shell; what is not is left, never mended.

import type { Clock } from '@holdfast/footing'

/** Between 8 and 64 characters: shorter ones collide, longer ones fill the log. */
const HARMLESS = /^[A-Za-z0-9._-]{8,64}$/
/** In this order; the first harmless one counts. */
const HEADERS = ['x-correlation-id', 'x-request-id'] as const

/** The headers that both ids are answered in. */
export const CORRELATION_HEADER = 'x-correlation-id'
export const REQUEST_HEADER = 'x-request-id'

/** Headers as Node has them: names in lower case, and what came twice joined by a comma, so harmless no more. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** The id that came with a request, when it is harmless. */
export function givenId(headers: Headers): string | undefined {
  for (const name of HEADERS) {
    const given = headers[name]
    if (isHarmlessId(given)) return given
  }
  return undefined
}

/** Whether this can be a correlation id. */
export function isHarmlessId(given: unknown): given is string {
  return typeof given === 'string' && HARMLESS.test(given)
}

const POOL_BYTES = 4096
const POOL_DIGITS = POOL_BYTES * 2
/** The digit that says of which kind the rest is has two bits of its own. */
const VARIANTS = '89ab89ab89ab89ab'

/** Makes ids: UUIDs of version 7 (RFC 9562, 5.7), which sort by the millisecond they were made in. */
export class IdSource {
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #fill: (bytes: Uint8Array) => unknown
  readonly #pool = Buffer.alloc(POOL_BYTES)
  /** Chance as text, made for some hundred ids at a time. */
  #digits = ''
  #used = POOL_DIGITS
  #prefixOfMs = Number.NaN
  #prefix = ''

  /** `fill` fills bytes with chance. */
  constructor(clock: Pick<Clock, 'wallMs'>, fill: (bytes: Uint8Array) => unknown) {
    this.#clock = clock
    this.#fill = fill
  }

  /** A new id of 36 characters. */
  next(): string {
    const nowMs = Math.max(0, Math.trunc(this.#clock.wallMs()))
    if (nowMs !== this.#prefixOfMs) {
      const time = nowMs.toString(16).padStart(12, '0').slice(-12)
      this.#prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`
      this.#prefixOfMs = nowMs
    }
    const variant = VARIANTS[Number.parseInt(this.#take(1), 16)]
    return `${this.#prefix}${this.#take(3)}-${variant}${this.#take(3)}-${this.#take(12)}`
  }

  /** The id of a span (W3C Trace Context): 16 hexadecimal digits, not all 0. */
  span(): string {
    const id = this.#take(8) + this.#take(8)
    return /[^0]/.test(id) ? id : this.span()
  }

  /** At most 12: what is longer would be a piece of the whole text, and keep that in memory. */
  #take(digits: number): string {
    if (this.#used + digits > POOL_DIGITS) {
      this.#fill(this.#pool)
      this.#digits = this.#pool.toString('hex')
      this.#used = 0
    }
    const from = this.#used
    this.#used = from + digits
    return this.#digits.slice(from, this.#used)
  }
}
