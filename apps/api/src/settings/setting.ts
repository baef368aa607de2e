// One environment variable: its name, its text form, and how the text becomes a value. Parsers are pure and
// answer either a value or what is wrong with the text; nothing here reads the environment or a file.

import { namedNetworks, readNetwork } from '@holdfast/footing'
import { nearest } from '../nearest.ts'
import { Secret } from '../secret.ts'

/** What a parser answers: the value, or what is wrong and how to write it instead. */
export type Parsed<T> = { readonly value: T } | { readonly wrong: string; readonly fix: string }

/** One row of the configuration table. */
export interface Setting<T> {
  /** Name of the environment variable. */
  readonly name: string
  /** What kind of text it takes, for the reader of the table. */
  readonly kind: string
  /** What it does. */
  readonly meaning: string
  /** The text that is used when the variable is unset or empty; undefined when the setting is optional. */
  readonly defaultText: string | undefined
  /** Another name by which it is known elsewhere; only one of the two may be set. */
  readonly alias: string | undefined
  /** Its value is never shown, and `<NAME>_FILE` may name a file that holds it. */
  readonly secret: boolean
  parse(text: string): Parsed<T>
}

/** The value type of a setting. */
export type ValueOf<S> = S extends Setting<infer T> ? T : never

/** A kind of text: how it is called and how it becomes a value. */
export interface Kind<T> {
  readonly kind: string
  readonly secret?: boolean
  parse(text: string): Parsed<T>
}

/** A setting with a default. */
export function setting<T>(
  name: string,
  kind: Kind<T>,
  defaultText: string,
  meaning: string,
  alias?: string,
): Setting<T> {
  return { secret: false, ...kind, name, meaning, defaultText, alias }
}

/** A setting that is undefined when the variable is unset or empty. */
export function optional<T>(name: string, kind: Kind<T>, meaning: string): Setting<T | undefined> {
  return { secret: false, ...kind, name, meaning, defaultText: undefined, alias: undefined }
}

/** Any text without control characters, at most 256 characters. */
export const text: Kind<string> = {
  kind: 'text',
  parse(given) {
    if (given.length > 256) return { wrong: 'is longer than 256 characters', fix: 'Shorten it.' }
    if (/\p{Cc}/u.test(given)) return { wrong: 'holds a control character', fix: 'Remove it.' }
    return { value: given }
  },
}

const MAX_LINE_LENGTH = 500

/**
 * A line that everybody is shown: at most 500 characters, something between the spaces around it, and none that would
 * turn the direction of what follows.
 */
export const line: Kind<string> = {
  kind: 'line of text',
  parse(given) {
    const value = given.trim()
    if (value === '') return { wrong: 'is nothing but spaces', fix: 'Write what is to be read, or unset it.' }
    if (value.length > MAX_LINE_LENGTH) {
      return { wrong: `is longer than ${MAX_LINE_LENGTH} characters`, fix: 'Shorten it.' }
    }
    if (/[\p{Cc}\p{Bidi_Control}]/u.test(value) || !value.isWellFormed()) {
      const fix = 'Remove line breaks, tabs, and what turns the direction of text.'
      return { wrong: 'is not one line of text', fix }
    }
    return { value }
  },
}

/** What can be the value of a header: visible ASCII and spaces, at most 4,096 characters. */
export const headerText: Kind<string> = {
  kind: 'header value',
  parse(given) {
    if (given.length > 4096) return { wrong: 'is longer than 4096 characters', fix: 'Shorten it.' }
    if (/^[ -~]*$/.test(given)) return { value: given }
    return { wrong: 'holds what no header can carry', fix: 'Use letters, digits and punctuation of ASCII.' }
  },
}

/** A path; relative ones are resolved by whoever uses them. */
export const path: Kind<string> = { ...text, kind: 'path' }

/** `true` or `false`. */
export const flag: Kind<boolean> = {
  kind: 'true or false',
  parse(given) {
    if (given === 'true') return { value: true }
    if (given === 'false') return { value: false }
    return { wrong: 'is neither true nor false', fix: 'Write true or false.' }
  },
}

/** One of a few words; letter case does not matter. */
export function choice<const T extends string>(words: readonly T[]): Kind<T> {
  return {
    kind: words.join(', '),
    parse(given) {
      const found = words.find((word) => word === given.toLowerCase())
      if (found !== undefined) return { value: found }
      return {
        wrong: `is none of ${words.join(', ')}`,
        fix: `Write ${nearest(given, words) ?? 'one of these'}.`,
      }
    },
  }
}

/** A whole number within bounds, both included. */
export function integer(min: number, max: number): Kind<number> {
  return {
    kind: `${min} to ${max}`,
    parse(given) {
      const value = Number(given)
      if (/^\d{1,15}$/.test(given) && value >= min && value <= max) return { value }
      return {
        wrong: `is not a whole number from ${min} to ${max}`,
        fix: `Write a whole number from ${min} to ${max}.`,
      }
    },
  }
}

/** How many times a statement runs before it is prepared under a name, of which only `0`, never, works here. */
export const prepareThreshold: Kind<0> = {
  kind: '0',
  parse(given) {
    if (given === '0') return { value: 0 }
    return {
      wrong: 'would prepare statements under names, which a connection pooler does not carry over',
      fix: 'Write 0, or leave it unset: no statement of this service has a name.',
    }
  },
}

/** A TCP port; 0 takes any free one. */
export const port: Kind<number> = {
  kind: 'port',
  parse(given) {
    if (given.startsWith('tcp://')) {
      return {
        wrong: 'is an address that Kubernetes injected for a Service of that name',
        fix: 'Set enableServiceLinks: false in the pod, or set the port explicitly.',
      }
    }
    return integer(0, 65_535).parse(given)
  },
}

type Units = Readonly<Record<string, number>>

/** A whole number and its unit, within bounds; the value is in the unit of size 1. */
function quantity(
  kind: string,
  examples: string,
  units: Units,
  [min, max]: readonly [number, number],
): Kind<number> {
  return {
    kind,
    parse(given) {
      const [, count, unit = ''] = /^(\d{1,9})([A-Za-z]+)$/.exec(given) ?? []
      if (count === undefined || !Object.hasOwn(units, unit)) {
        return { wrong: `is not a ${kind}`, fix: `Write a number and a unit: ${examples}.` }
      }
      const value = Number(count) * (units[unit] ?? 1)
      if (value >= min && value <= max) return { value }
      return {
        wrong: 'is out of bounds',
        fix: `Write a ${kind} from ${inLargestUnit(min, units)} to ${inLargestUnit(max, units)}.`,
      }
    },
  }
}

/** As a person writes it, in the largest unit that divides it. */
function inLargestUnit(value: number, units: Units): string {
  const [unit = '', size = 1] = Object.entries(units).findLast(([, size]) => value % size === 0) ?? []
  return `${value / size}${unit}`
}

// From the smallest unit to the largest.
const MS_PER_UNIT: Units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
const BYTES_PER_UNIT: Units = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }

/** A time such as `250ms`, `5s`, `5m` or `1h`, within bounds in milliseconds; the value is in milliseconds. */
export function duration(minMs: number, maxMs: number): Kind<number> {
  return quantity('duration', '250ms, 5s, 5m, 1h', MS_PER_UNIT, [minMs, maxMs])
}

/** A time in milliseconds as a person writes it. */
export function durationText(ms: number): string {
  return inLargestUnit(ms, MS_PER_UNIT)
}

/** A size such as `512kB`, `64MB` or `1GB` (powers of 1024), within bounds in bytes; the value is in bytes. */
export function bytes(minBytes: number, maxBytes: number): Kind<number> {
  return quantity('size', '512kB, 64MB, 1GB', BYTES_PER_UNIT, [minBytes, maxBytes])
}

const MAX_NETWORKS = 1000
const NETWORKS_FIX = 'Write addresses and networks with commas between: 10.0.0.0/8, 192.0.2.7, 2001:db8::/32.'

/** Addresses and networks (CIDR) with commas between, and the words `loopback` and `private` for those that they mean. */
export const networks: Kind<readonly string[]> = {
  kind: 'networks',
  parse(given) {
    const entries = given.split(',').map((entry) => entry.trim())
    if (entries.length > MAX_NETWORKS) {
      return { wrong: `has more than ${MAX_NETWORKS} entries`, fix: NETWORKS_FIX }
    }
    const plain = entries.flatMap((entry) => namedNetworks.get(entry) ?? [entry])
    const unreadable = plain.find((entry) => readNetwork(entry) === undefined)
    if (unreadable === undefined) return { value: Object.freeze(plain) }
    const shown = JSON.stringify(unreadable.slice(0, 50))
    return { wrong: `holds ${shown}, which is no address and no network`, fix: NETWORKS_FIX }
  },
}

/** No network of anybody's own is larger: `10.0.0.0/8`, `fc00::/7`. */
const WIDEST_BITS = { 4: 8, 6: 7 } as const

/**
 * The networks of the proxies in front. A number of hops, and networks that together could be all addresses, are refused:
 * whoever sends the header himself would choose his own address.
 */
export const proxies: Kind<readonly string[]> = {
  ...networks,
  parse(given) {
    const parsed = networks.parse(given)
    if ('wrong' in parsed || !parsed.value.some(isTooWide)) return parsed
    return {
      wrong: 'trusts everybody, or nearly, so that clients choose their own addresses',
      fix: 'Name the networks that the proxies are in.',
    }
  },
}

function isTooWide(entry: string): boolean {
  const network = readNetwork(entry)
  return network !== undefined && network.prefixBits < WIDEST_BITS[network.first.family]
}

const MAX_WEIGHT = 1000
const WEIGHTS_FIX = 'Write statuses and what they count with commas between, 404:2, 429:3, or none.'

/** What answers count, by their status: `404:2, 429:3`; `none`: one each. */
export const weights: Kind<Readonly<Record<string, number>>> = {
  kind: 'weights',
  parse(given) {
    if (given === 'none') return { value: Object.freeze({}) }
    const found: Record<string, number> = {}
    for (const entry of given.split(',').map((each) => each.trim())) {
      const [, status = '', weight] = /^([1-5]\d\d):(\d{1,4})$/.exec(entry) ?? []
      const count = Number(weight)
      if (!(count >= 1 && count <= MAX_WEIGHT)) {
        const shown = JSON.stringify(entry.slice(0, 50))
        return { wrong: `holds ${shown}, which is no status and a weight from 1 to 1000`, fix: WEIGHTS_FIX }
      }
      if (Object.hasOwn(found, status)) return { wrong: `names ${status} twice`, fix: WEIGHTS_FIX }
      found[status] = count
    }
    return { value: Object.freeze(found) }
  },
}

/** A secret that callers send in a header: at most 4,096 visible ASCII characters. */
export const secret: Kind<Secret> = {
  kind: 'secret',
  secret: true,
  parse(given) {
    if (given.length > 4096) return { wrong: 'is longer than 4096 characters', fix: 'Use a shorter one.' }
    if (!/^[!-~]*$/.test(given)) {
      return {
        wrong: 'holds white space or something else that no Authorization header can carry',
        fix: 'Use letters, digits and punctuation of ASCII.',
      }
    }
    return { value: new Secret(given) }
  },
}

const MIN_KEY_LENGTH = 32

/** A secret that keys are made of: at least 32 visible ASCII characters. */
export const secretKey: Kind<Secret> = {
  ...secret,
  parse(given) {
    const isLong = given.length >= MIN_KEY_LENGTH
    if (isLong && given.length <= 4096 && /^[!-~]*$/.test(given)) return { value: new Secret(given) }
    return {
      wrong: isLong ? 'holds white space or is too long' : `is shorter than ${MIN_KEY_LENGTH} characters`,
      fix: 'Make one with: openssl rand -base64 48',
    }
  },
}

/** Where mail goes: secret, because it usually holds a password. */
export const smtpUrl: Kind<Secret> = {
  kind: 'secret URL',
  secret: true,
  parse(given) {
    const url = URL.parse(given)
    if (url !== null && ['smtp:', 'smtps:'].includes(url.protocol) && url.hostname !== '') {
      return { value: new Secret(given) }
    }
    return {
      wrong: 'is not the URL of a mail server',
      fix: 'Write smtp://user:password@host:587, or smtps:// for TLS from the start.',
    }
  },
}

/** The origin of a web site, `https://app.example`. */
function originOf(given: string): string | undefined {
  const url = URL.parse(given)
  return url !== null && /^https?:$/.test(url.protocol) && given.replace(/\/$/, '') === url.origin
    ? url.origin
    : undefined
}

/** One origin. */
export const origin: Kind<string> = {
  kind: 'origin',
  parse(given) {
    const value = originOf(given)
    if (value !== undefined) return { value }
    return { wrong: 'is not an origin', fix: 'Write https://app.example, without a path.' }
  },
}

const MAX_ORIGINS = 100

/** Origins with commas between. */
export const origins: Kind<readonly string[]> = {
  kind: 'origins',
  parse(given) {
    const values = given.split(',').map((entry) => originOf(entry.trim()))
    const known = values.filter((value) => value !== undefined)
    if (known.length === values.length && values.length <= MAX_ORIGINS) return { value: Object.freeze(known) }
    return {
      wrong: `holds what is not an origin, or more than ${MAX_ORIGINS}`,
      fix: 'Write https://app.example,https://admin.example, without paths.',
    }
  },
}

/** The URL of a PostgreSQL database: secret, because it usually holds a password. */
export const postgresUrl: Kind<Secret> = {
  kind: 'secret URL',
  secret: true,
  parse(given) {
    const url = URL.parse(given)
    if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) {
      return {
        wrong: 'is not the URL of a PostgreSQL database',
        fix: 'Write postgres://user:password@host:5432/database (percent-encode special characters of the password).',
      }
    }
    return { value: new Secret(given) }
  },
}

/** The URL of PgBouncer's console. */
export const consoleUrl: Kind<Secret> = {
  ...postgresUrl,
  parse(given) {
    const parsed = postgresUrl.parse(given)
    if ('wrong' in parsed || URL.parse(given)?.pathname === '/pgbouncer') return parsed
    return {
      wrong: "is not the URL of PgBouncer's console",
      fix: 'Write postgres://stats-user:password@host:6432/pgbouncer: the database is called pgbouncer.',
    }
  },
}
