/*
 * A way past maintenance for whoever has to try out what is closed for everybody else: a signed text with an end and an
 * epoch. Pure but for the signing. Guarantees: nobody makes one without the key; one of an earlier epoch, and one whose
 * time is over, is none; comparing takes the same time whatever is wrong.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** What a bypass says. */
export interface Bypass {
  /** Milliseconds since the Unix epoch. */
  readonly untilMs: number
  readonly epoch: number
  /** Names it in the log; no secret. */
  readonly id: string
}

/** The longest that one lasts: a week. */
export const MAX_BYPASS_MS = 7 * 86_400_000
const TOKEN = /^(([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([\w-]{8,32}))\.([\w-]{43})$/
const PURPOSE = 'holdfast-maintenance-bypass:'

/** Signs a bypass with the first key. */
export function signBypass({ untilMs, epoch, id }: Bypass, keys: readonly string[]): string {
  const [key = ''] = keys
  const said = `${Math.floor(untilMs).toString(36)}.${epoch.toString(36)}.${id}`
  return `${said}.${macOf(said, key)}`
}

/** Reads a bypass that one of the keys has signed and that holds; undefined for everything else. */
export function readBypass(
  token: string | undefined,
  keys: readonly string[],
  { epoch, wallMs }: { readonly epoch: number; readonly wallMs: number },
): Bypass | undefined {
  const [, said, until = '', signedEpoch = '', id = '', mac] = TOKEN.exec(token ?? '') ?? []
  if (said === undefined || mac === undefined) return undefined
  const given = Buffer.from(mac)
  const isSigned = keys.some((key) => timingSafeEqual(given, Buffer.from(macOf(said, key))))
  const bypass = { untilMs: Number.parseInt(until, 36), epoch: Number.parseInt(signedEpoch, 36), id }
  return isSigned && bypass.epoch === epoch && bypass.untilMs > wallMs ? bypass : undefined
}

/** The value of a cookie; undefined when it is not there. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=')
    if (at !== -1 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
  }
  return undefined
}

function macOf(said: string, key: string): string {
  return createHmac('sha256', key)
    .update(PURPOSE + said)
    .digest('base64url')
}
