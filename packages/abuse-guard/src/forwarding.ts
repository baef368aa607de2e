/**
 * Whether the addresses that a service sees are those of its clients. Behind a proxy that is not trusted, everybody has
 * the address of the proxy, and a block would be one of everybody. Such requests name somebody else in a header
 * (`X-Forwarded-For`), but so can any client that wants to look like a proxy. What a client cannot do is take away the
 * others: where the addresses are right, many clients are seen without a name of somebody else. And no client from the
 * Internet has a private address. So an address that names somebody else is in doubt when it is private, where proxies
 * stand, and otherwise only while hardly any public client is seen without.
 */

/** As much of the headers of a request as this looks at. */
export type ForwardingHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Whether the headers name a client beyond the address that the service uses. */
export function namesAnother(headers: ForwardingHeaders, address: string): boolean {
  const chain = headers['x-forwarded-for']
  if (chain !== undefined) return !beginsWith(String(chain), address)
  const real = headers['x-real-ip']
  if (real !== undefined) return real !== address
  return headers['forwarded'] !== undefined
}

/** Whether the first entry of a list is this address: then the whole chain was believed. */
function beginsWith(chain: string, address: string): boolean {
  let from = 0
  while (chain.charCodeAt(from) === 32) from += 1
  if (!chain.startsWith(address, from)) return false
  const next = chain.charCodeAt(from + address.length)
  return Number.isNaN(next) || next === 44 || next === 32
}

const CELLS = 1024

/**
 * Roughly how many different clients were seen in the last one or two windows, up to some hundred, in 256 bytes. Two
 * clients may share a cell, so it never says more than there were.
 */
export class ClientsSeen {
  readonly #windowMs: number
  #present = new Uint32Array(CELLS / 32)
  #past = new Uint32Array(CELLS / 32)
  #presentCount = 0
  #pastCount = 0
  #window = Number.NEGATIVE_INFINITY

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** Notes a client by a hash of it. */
  add(hash: number, nowMs: number): void {
    this.#turn(nowMs)
    const cell = (hash >>> 7) & (CELLS - 1)
    const bit = 1 << (cell & 31)
    const word = this.#present[cell >> 5] as number
    if ((word & bit) !== 0) return
    this.#present[cell >> 5] = word | bit
    this.#presentCount += 1
  }

  /** At least so many were there. */
  count(nowMs: number): number {
    this.#turn(nowMs)
    return Math.max(this.#presentCount, this.#pastCount)
  }

  #turn(nowMs: number): void {
    const window = Math.floor(nowMs / this.#windowMs)
    if (window === this.#window) return
    const follows = window === this.#window + 1
    const spent = this.#past
    this.#past = follows ? this.#present : new Uint32Array(CELLS / 32)
    this.#pastCount = follows ? this.#presentCount : 0
    this.#present = spent.fill(0)
    this.#presentCount = 0
    this.#window = window
  }
}

const stranger = '192.0.2.1'
const forged = ['198.51.100.1', '198.51.100.2', '198.51.100.3', '198.51.100.4', '203.0.113.1', '203.0.113.2']

/**
 * Whether a request from any stranger may say which address it comes from: `trustProxy: true`, or a list that covers
 * the whole Internet. Asks the request's own `ip` about a request that never was, from an address that documentation
 * uses (RFC 5737). False when it cannot be found out.
 */
export function believesAnybody(request: object): boolean {
  try {
    const asked = Object.create(Object.getPrototypeOf(request), {
      raw: {
        value: {
          headers: { 'x-forwarded-for': forged.join(', ') },
          socket: { remoteAddress: stranger },
          connection: { remoteAddress: stranger },
        },
      },
    }) as { readonly ip?: unknown }
    return asked.ip === forged[0]
  } catch {
    return false
  }
}
