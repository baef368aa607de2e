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
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Makes ids: UUIDs of version 7 (RFC 9562, 5.7), which sort by the millisecond they were made in. */
export class IdSource {
  readonly #clock: Pick<Clock, 'wallMs'>
  readonly #fill: (bytes: Uint8Array) => unknown
  readonly #pool = new Uint8Array(POOL_BYTES)
  #used = POOL_BYTES
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
      this.#prefix = `${time.slice(0, 8)}-${time.slice(8)}-`
      this.#prefixOfMs = nowMs
    }
    const version = HEX[0x70 | (this.#byte() & 0x0f)]
    const variant = HEX[0x80 | (this.#byte() & 0x3f)]
    return `${this.#prefix}${version}${this.#hex(1)}-${variant}${this.#hex(1)}-${this.#hex(6)}`
  }

  /** The id of a span (W3C Trace Context): 16 hexadecimal digits, not all 0. */
  span(): string {
    const id = this.#hex(8)
    return /[^0]/.test(id) ? id : this.span()
  }

  #hex(bytes: number): string {
    let text = ''
    for (let left = bytes; left > 0; left--) text += HEX[this.#byte()]
    return text
  }

  #byte(): number {
    if (this.#used === POOL_BYTES) {
      this.#fill(this.#pool)
      this.#used = 0
    }
    return this.#pool[this.#used++] ?? 0
  }
}
