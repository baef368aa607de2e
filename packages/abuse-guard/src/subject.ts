import { type AddressBits, addressText, type Network, networkText, readNetwork } from '@holdfast/footing'

/** What is counted and blocked: an IPv4 address (32), or a network of IPv6 addresses (64, 56, 48). */
export type SubjectBits = 32 | 48 | 56 | 64

/** The bits of a subject; `b` is 0 for IPv4, and what is behind the prefix is 0. */
export interface Subject {
  readonly bits: SubjectBits
  readonly a: number
  readonly b: number
}

const ipv6Bits = [48, 56, 64] as const

/** The least subject that an address belongs to: itself for IPv4, its /64 for IPv6. */
export function subjectOf({ family, a, b }: AddressBits): Subject {
  return family === 4 ? { bits: 32, a, b: 0 } : { bits: 64, a, b }
}

/** The network around a /64. */
export function widened({ a, b }: Subject, bits: 48 | 56): Subject {
  return { bits, a, b: b & -(1 << (64 - bits)) }
}

/** A subject and the networks around it that are counted. */
export function around(subject: Subject): Subject[] {
  if (subject.bits === 64) return [subject, widened(subject, 56), widened(subject, 48)]
  return subject.bits === 56 ? [subject, widened(subject, 48)] : [subject]
}

/** The subject as a network. */
export function networkOf({ bits, a, b }: Subject): Network {
  return { first: { family: bits === 32 ? 4 : 6, a, b, c: 0, d: 0 }, prefixBits: bits }
}

/** As people write it: `192.0.2.1`, `2001:db8:1:2::/64`. */
export function subjectText(subject: Subject): string {
  const { first, prefixBits } = networkOf(subject)
  return first.family === 4 ? addressText(first) : networkText(first, prefixBits)
}

/**
 * Reads an address, or an IPv6 network of 48, 56 or 64 bits; an IPv6 address alone stands for its /64. Undefined for
 * everything else.
 */
export function readSubject(text: string): Subject | undefined {
  const network = readNetwork(text)
  if (network === undefined) return undefined
  const { first, prefixBits } = network
  if (first.family === 4) return prefixBits === 32 ? subjectOf(first) : undefined
  if (prefixBits === 128) return subjectOf(first)
  const bits = ipv6Bits.find((accepted) => accepted === prefixBits)
  return bits && { bits, a: first.a, b: first.b }
}

/**
 * 32 bits for a table. With a seed that nobody outside knows, nobody can choose addresses that share a place in it. Two
 * subjects with one hash are still two: whoever uses it compares the bits as well.
 */
export function subjectHash(seed: number, bits: SubjectBits, a: number, b: number): number {
  let hash = seed ^ Math.imul(bits, 0x9e3779b1)
  hash = Math.imul(hash ^ a, 0x85ebca6b)
  hash ^= hash >>> 13
  // Without this round, what a difference in the highest bits of `a` makes could be undone in `b`, whatever the seed.
  hash = Math.imul(hash, 0x165667b1)
  hash ^= hash >>> 15
  hash = Math.imul(hash ^ b, 0xc2b2ae35)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x27d4eb2f)
  return hash ^ (hash >>> 15)
}
