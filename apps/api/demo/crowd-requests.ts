// The bytes that users send. Each has an address of its own, which the proxy that the service trusts would have told, so
// that the limits of addresses are those of single people.

import type { Offered } from './crowd-protocol.ts'

/** A network for measuring, which belongs to nobody (RFC 2544): 198.18.0.0/15. */
export function addressOf(user: number): string {
  const number = user % 0x1ffff
  return `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`
}

/** Without credentials where there is no cookie. */
export function get(path: string, user: number, cookie?: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${headersOf(user, cookie)}\r\n`, 'latin1')
}

/** A bet of a whole number of minor units. */
export function bet(user: number, cookie: string, key: string, offer: Offered, stake: number): Buffer {
  const { eventId, market, selection } = offer
  const body = JSON.stringify({ event_id: eventId, market, selection, stake_minor: stake })
  // What a page of the service itself sends along; a cookie alone changes nothing.
  const own = `sec-fetch-site: same-origin\r\nidempotency-key: ${key}\r\ncontent-type: application/json\r\n`
  return Buffer.from(
    `POST /api/bets HTTP/1.1\r\n${headersOf(user, cookie)}${own}content-length: ${body.length}\r\n\r\n${body}`,
    'latin1',
  )
}

function headersOf(user: number, cookie: string | undefined): string {
  const signedIn = cookie === undefined ? '' : `cookie: ${cookie}\r\n`
  return `host: demo.example\r\nx-forwarded-for: ${addressOf(user)}\r\n${signedIn}`
}
