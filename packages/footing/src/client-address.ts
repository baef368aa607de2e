/**
 * The address of a client, in one form whatever way it was written: an IPv4 address that arrives as IPv6
 * (`::ffff:192.0.2.1`, `::ffff:c000:201`, `0:0:0:0:0:ffff:192.0.2.1`) is that IPv4 address, an IPv6 address has one
 * spelling (RFC 5952), and a zone (`%eth0`) or the port that some proxies add is no part of it. Everything is decided on
 * bits, not on text. What is not exactly an address is none: `010.0.0.1` is read as 8.0.0.1 by some, and so by nobody here.
 */

/** An address as bits, in whole numbers of 32 bits with a sign. IPv4 uses `a` only, the others are 0. */
export interface AddressBits {
  readonly family: 4 | 6
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

/** No address is longer, with brackets, zone and port. */
const MAX_TEXT = 80
const ZERO = 48
const NINE = 57
const COLON = 58
const DOT = 46
const BRACKET = 91
const MAPPED = 0xffff

/** Reads an address; undefined when the text is not one. */
export function readAddress(text: string | undefined): AddressBits | undefined {
  if (typeof text !== 'string' || text.length > MAX_TEXT) return undefined
  // The first character that is not a digit tells what it is.
  for (let at = 0; at < 4 && at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === DOT) return readFour(text)
    if (code === BRACKET && at === 0) return readBracketed(text)
    if (code < ZERO || code > NINE) break
  }
  return readSix(text)
}

/** The address in its one spelling; undefined when the text is not one. */
export function clientAddress(text: string | undefined): string | undefined {
  const bits = readAddress(text)
  return bits && addressText(bits)
}

/**
 * What stands for one client: an IPv4 address whole, an IPv6 address as its network of `ipv6Bits` (1 to 128), such as
 * `2001:db8:1:2::/64`, because whoever has one address of it has them all. Undefined when the text is no address.
 */
export function clientNetwork(text: string | undefined, ipv6Bits = 64): string | undefined {
  const bits = readAddress(text)
  if (bits === undefined) return undefined
  return bits.family === 4 ? addressText(bits) : networkText(bits, ipv6Bits)
}

/** The one spelling of an address: dotted decimal, or RFC 5952. */
export function addressText({ family, a, b, c, d }: AddressBits): string {
  if (family === 4) return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`
  const groups = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff, c >>> 16, c & 0xffff, d >>> 16, d & 0xffff]
  let from = -1
  let length = 1
  for (let at = 0; at < 8; at += 1) {
    let end = at
    while (end < 8 && groups[end] === 0) end += 1
    if (end - at > length) {
      from = at
      length = end - at
    }
    if (end > at) at = end
  }
  const hex = groups.map((group) => group.toString(16))
  if (from === -1) return hex.join(':')
  return `${hex.slice(0, from).join(':')}::${hex.slice(from + length).join(':')}`
}

/** The network of `prefixBits` around an address, such as `2001:db8::/48`. */
export function networkText(address: AddressBits, prefixBits: number): string {
  return `${addressText(firstOf(address, prefixBits))}/${prefixBits}`
}

/** The first address of the network of `prefixBits` around an address. */
export function firstOf({ family, a, b, c, d }: AddressBits, prefixBits: number): AddressBits {
  return {
    family,
    a: a & mask(prefixBits),
    b: b & mask(prefixBits - 32),
    c: c & mask(prefixBits - 64),
    d: d & mask(prefixBits - 96),
  }
}

/** A network: all addresses that share the first `prefixBits` with `first`. */
export interface Network {
  readonly first: AddressBits
  readonly prefixBits: number
}

/** Reads `192.0.2.0/24`, `2001:db8::/32` or a single address; undefined when the text is none of them. */
export function readNetwork(text: string): Network | undefined {
  if (typeof text !== 'string') return undefined
  const slash = text.indexOf('/')
  const plain = slash === -1 ? text : text.slice(0, slash)
  // A list names networks, which have neither ports nor zones.
  if (/[[\]%]/.test(plain) || /\.\d+:/.test(plain)) return undefined
  const address = readAddress(plain)
  if (address === undefined) return undefined
  const most = address.family === 4 ? 32 : 128
  if (slash === -1) return { first: address, prefixBits: most }
  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined
  // 96 bits of an IPv4 address written as IPv6 are its beginning.
  const prefixBits = Number(digits) - (address.family === 4 && plain.includes(':') ? 96 : 0)
  if (prefixBits < 0 || prefixBits > most) return undefined
  return { first: firstOf(address, prefixBits), prefixBits }
}

/** Words that stand for networks in a list: those that nobody has on the open Internet. */
export const namedNetworks: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  [
    'private',
    [
      '10.0.0.0/8',
      '172.16.0.0/12',
      '192.168.0.0/16',
      '100.64.0.0/10',
      '169.254.0.0/16',
      'fc00::/7',
      'fe80::/10',
    ],
  ],
])

/**
 * A list of addresses and networks (CIDR), and the words `loopback` and `private`. A question costs a few comparisons
 * for each length of prefix in the list, however many entries it has, and nothing is allocated for it.
 */
export class AddressList {
  readonly entries: readonly string[]
  readonly #lengths: Networks[] = []

  /** `refuse` is called with an entry that cannot be read, and throws. */
  constructor(entries: readonly string[], refuse: (entry: string) => never) {
    this.entries = [...entries]
    for (const entry of entries) {
      for (const text of namedNetworks.get(entry) ?? [entry]) this.#add(readNetwork(text) ?? refuse(entry))
    }
  }

  /** Whether the address is in one of the networks; what cannot be read is in none. */
  has(text: string | undefined): boolean {
    if (this.#lengths.length === 0) return false
    const address = readAddress(text)
    return address !== undefined && this.includes(address)
  }

  /** The same for an address that was read already. */
  includes(address: AddressBits): boolean {
    for (const networks of this.#lengths) {
      if (networks.includes(address)) return true
    }
    return false
  }

  /** Whether the network and one of the list have an address in common. */
  overlaps({ first, prefixBits }: Network): boolean {
    for (const networks of this.#lengths) {
      const holds =
        networks.prefixBits <= prefixBits ? networks.includes(first) : networks.within(first, prefixBits)
      if (holds) return true
    }
    return false
  }

  #add({ first, prefixBits }: Network): void {
    let networks = this.#lengths.find((one) => one.family === first.family && one.prefixBits === prefixBits)
    if (networks === undefined) {
      networks = new Networks(first.family, prefixBits)
      this.#lengths.push(networks)
    }
    networks.add(first)
  }
}

/** The networks of one length. */
class Networks {
  readonly family: 4 | 6
  readonly prefixBits: number
  /** By their first word; the other three follow one another in the list. */
  readonly #byWord = new Map<number, number[]>()

  constructor(family: 4 | 6, prefixBits: number) {
    this.family = family
    this.prefixBits = prefixBits
  }

  add({ a, b, c, d }: AddressBits): void {
    const rest = this.#byWord.get(a) ?? []
    rest.push(b, c, d)
    this.#byWord.set(a, rest)
  }

  includes({ family, a, b, c, d }: AddressBits): boolean {
    if (family !== this.family) return false
    const bits = this.prefixBits
    const rest = this.#byWord.get(a & mask(bits))
    if (rest === undefined) return false
    if (bits <= 32) return true
    for (let at = 0; at < rest.length; at += 3) {
      if (
        rest[at] === (b & mask(bits - 32)) &&
        rest[at + 1] === (c & mask(bits - 64)) &&
        rest[at + 2] === (d & mask(bits - 96))
      ) {
        return true
      }
    }
    return false
  }

  /** Whether one of them lies in the network of `bits` around an address. Looks at all, or at those with its first word. */
  within({ family, a, b, c, d }: AddressBits, bits: number): boolean {
    if (family !== this.family) return false
    if (bits < 32) {
      for (const word of this.#byWord.keys()) if ((word & mask(bits)) === (a & mask(bits))) return true
      return false
    }
    const rest = this.#byWord.get(a)
    if (rest === undefined) return false
    for (let at = 0; at < rest.length; at += 3) {
      const differs =
        (((rest[at] as number) ^ b) & mask(bits - 32)) |
        (((rest[at + 1] as number) ^ c) & mask(bits - 64)) |
        (((rest[at + 2] as number) ^ d) & mask(bits - 96))
      if (differs === 0) return true
    }
    return false
  }
}

/** The first `bits` of a word; all of them from 32 on. */
function mask(bits: number): number {
  // A shift by 32 would be one by 0.
  if (bits <= 0) return 0
  return bits >= 32 ? -1 : -1 << (32 - bits)
}

function readFour(text: string): AddressBits | undefined {
  const colon = text.indexOf(':')
  if (colon !== -1 && !isPort(text, colon + 1)) return undefined
  const a = fourBits(text, 0, colon === -1 ? text.length : colon)
  return a === undefined ? undefined : { family: 4, a, b: 0, c: 0, d: 0 }
}

function readBracketed(text: string): AddressBits | undefined {
  const end = text.indexOf(']')
  if (end === -1) return undefined
  const rest = text.slice(end + 1)
  if (rest !== '' && !(rest.charCodeAt(0) === COLON && isPort(rest, 1))) return undefined
  return readSix(text.slice(1, end))
}

/** Four decimal numbers without leading zeros, from `from` up to `end`. */
function fourBits(text: string, from: number, end: number): number | undefined {
  let bits = 0
  let value = -1
  let dots = 0
  for (let at = from; at < end; at += 1) {
    const code = text.charCodeAt(at)
    if (code === DOT) {
      if (value === -1) return undefined
      bits = (bits << 8) | value
      value = -1
      dots += 1
    } else if (code >= ZERO && code <= NINE) {
      if (value === 0) return undefined
      value = (value === -1 ? 0 : value * 10) + code - ZERO
      if (value > 255) return undefined
    } else {
      return undefined
    }
  }
  return dots === 3 && value !== -1 ? (bits << 8) | value : undefined
}

function readSix(text: string): AddressBits | undefined {
  const zone = text.indexOf('%')
  if (zone === text.length - 1) return undefined
  const end = zone === -1 ? text.length : zone
  const words = [0, 0, 0, 0]
  let groups = 0
  // Where `::` stands: groups behind it move to the end.
  let gap = -1
  let at = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON || end < 2) return undefined
    gap = 0
    at = 2
  }
  while (at < end) {
    if (groups === 8) return undefined
    let value = 0
    let next = at
    let digit = hexDigit(text.charCodeAt(next))
    while (next < end && digit !== -1) {
      value = value * 16 + digit
      next += 1
      digit = hexDigit(text.charCodeAt(next))
    }
    if (next < end && text.charCodeAt(next) === DOT) {
      const four = groups > 6 ? undefined : fourBits(text, at, end)
      if (four === undefined) return undefined
      put(words, groups, four >>> 16)
      put(words, groups + 1, four & 0xffff)
      groups += 2
      break
    }
    if (next === at || next - at > 4) return undefined
    put(words, groups, value)
    groups += 1
    if (next === end) break
    if (text.charCodeAt(next) !== COLON) return undefined
    at = next + 1
    if (at < end && text.charCodeAt(at) === COLON) {
      if (gap !== -1) return undefined
      gap = groups
      at += 1
    } else if (at === end) {
      return undefined
    }
  }
  if (gap === -1 ? groups !== 8 : groups > 7) return undefined
  return sixOf(gap === -1 || gap === groups ? words : moved(words, gap, groups))
}

function sixOf(words: readonly number[]): AddressBits {
  const [a = 0, b = 0, c = 0, d = 0] = words
  if (a === 0 && b === 0 && c === MAPPED) return { family: 4, a: d, b: 0, c: 0, d: 0 }
  return { family: 6, a, b, c, d }
}

/** The groups from `gap` on, moved to the end. */
function moved(words: readonly number[], gap: number, groups: number): number[] {
  const result = [0, 0, 0, 0]
  for (let group = 0; group < groups; group += 1) {
    const word = words[group >> 1] ?? 0
    put(result, group < gap ? group : group + 8 - groups, group % 2 === 0 ? word >>> 16 : word & 0xffff)
  }
  return result
}

function put(words: number[], group: number, value: number): void {
  words[group >> 1] = (words[group >> 1] ?? 0) | (group % 2 === 0 ? value << 16 : value)
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function isPort(text: string, from: number): boolean {
  const length = text.length - from
  if (length < 1 || length > 5) return false
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code < ZERO || code > NINE) return false
  }
  return true
}
