/**
 * Why somebody who sends too much is not blocked: he is allowed, his address cannot be right, or there are so many blocks
 * that the rule must be wrong. Says it at most once a minute.
 */
import { AddressList } from '@holdfast/footing'
import { type Leniency, publishLenient } from './events.ts'
import { ClientsSeen } from './forwarding.ts'
import type { Log } from './log.ts'
import { checks } from './options.ts'
import { networkOf, type Subject, subjectHash, subjectText } from './subject.ts'

/** What it decides by. */
export interface DoubtSettings {
  readonly allow: AddressList
  /** `block`: addresses are right, whatever they look like. */
  readonly onDoubt: 'refuse' | 'block'
  readonly maxBlocksPerMinute: number
  readonly seed: number
  readonly log: Log
}

/** What was seen in the headers of a subject; asked for only where it matters. */
export interface ForwardedShares {
  /** The share of its requests that name somebody else. */
  forwardedShare(subject: Subject): number
}

const MINUTE_MS = 60_000
/** So many public clients seen without a word of somebody else show that public addresses are those of clients. */
const ENOUGH_CLIENTS = 10
/** From this share on, the requests of an address are those of a proxy. */
const MOSTLY = 0.5

const explanations: Record<Leniency, string> = {
  allowed: 'it is in "allow"',
  'everybody-looks-alike':
    'it names others in X-Forwarded-For or the like, and it is private, or hardly any public client is seen without, so this may be a proxy: tell Fastify\'s "trustProxy" its addresses (a number is ignored by Fastify), or give "address"',
  'anybody-is-believed':
    'anybody can forge this address, because Fastify\'s "trustProxy" trusts everybody: give it the addresses of your proxies instead, or give "address"',
  'too-many-blocks': 'there were more than "maxBlocksPerMinute" blocks within a minute',
}

/** The doubts of one process. */
export class Doubt {
  readonly #settings: DoubtSettings
  readonly #clientsSeen = new ClientsSeen(MINUTE_MS)
  readonly #lenient: Record<Leniency, number> = {
    allowed: 0,
    'everybody-looks-alike': 0,
    'anybody-is-believed': 0,
    'too-many-blocks': 0,
  }
  readonly #toldAtMs = new Map<Leniency, number>()
  /** When somebody was last not blocked because of too many blocks. */
  #tooManyAtMs = Number.NEGATIVE_INFINITY
  #anybodyIsBelieved = false
  #blockMinute = Number.NEGATIVE_INFINITY
  #blocksInMinute = 0

  constructor(settings: DoubtSettings) {
    this.#settings = settings
  }

  /** Blocks not made, by why. */
  counts(): Readonly<Record<Leniency, number>> {
    return { ...this.#lenient }
  }

  /** Why nobody at all is blocked by counting, at present or within the last minute: a scrape sees it in any case. */
  at(nowMs: number): Leniency | undefined {
    if (this.#anybodyIsBelieved && this.#settings.onDoubt === 'refuse') return 'anybody-is-believed'
    return nowMs - this.#tooManyAtMs < MINUTE_MS ? 'too-many-blocks' : undefined
  }

  /** Whether the subject is never blocked. */
  allows(subject: Subject): boolean {
    return this.#settings.allow.overlaps(networkOf(subject))
  }

  /** A client was seen that named nobody else. Callers of one's own say nothing about the addresses of others. */
  clientSeen(subject: Subject, nowMs: number): void {
    const { bits, a, b } = subject
    if (!isInside(subject)) this.#clientsSeen.add(subjectHash(this.#settings.seed | 0, bits, a, b), nowMs)
  }

  /** Told once when it was found out that a client may choose its address. */
  anybodyIsBelieved(): void {
    this.#anybodyIsBelieved = true
    if (this.#settings.onDoubt === 'refuse') {
      this.#settings.log.error(
        { why: 'anybody-is-believed' },
        `abuse-guard blocks nobody by counting: ${explanations['anybody-is-believed']}`,
      )
    }
  }

  /** Why a subject must not be blocked by counting. */
  about(subject: Subject, counts: ForwardedShares, nowMs: number): Leniency | undefined {
    if (this.allows(subject)) return 'allowed'
    if (this.#settings.onDoubt === 'refuse') {
      if (this.#anybodyIsBelieved) return 'anybody-is-believed'
      const isLikeProxy = counts.forwardedShare(subject) >= MOSTLY
      if (isLikeProxy && !this.#isClient(subject, nowMs)) return 'everybody-looks-alike'
    }
    return this.#blocksAt(nowMs) >= this.#settings.maxBlocksPerMinute ? 'too-many-blocks' : undefined
  }

  /** A block was made by counting. */
  blocked(nowMs: number): void {
    this.#blocksInMinute = this.#blocksAt(nowMs) + 1
  }

  /** Somebody who sends too much was not blocked. */
  spared(subject: Subject, count: number, why: Leniency, nowMs: number): void {
    this.#lenient[why] += 1
    if (why === 'too-many-blocks') this.#tooManyAtMs = nowMs
    const told = this.#toldAtMs.get(why)
    if (told !== undefined && nowMs - told < MINUTE_MS) return
    this.#toldAtMs.set(why, nowMs)
    const address = subjectText(subject)
    publishLenient({ address, count, why })
    const message = `${address} sends too much and is not blocked: ${explanations[why]}`
    this.#settings.log[why === 'allowed' ? 'info' : 'error']({ address, count, why }, message)
  }

  /** Whether an address that looks like a proxy is none. Inside is where proxies stand, and nobody from the Internet. */
  #isClient(subject: Subject, nowMs: number): boolean {
    return !isInside(subject) && this.#clientsSeen.count(nowMs) >= ENOUGH_CLIENTS
  }

  #blocksAt(nowMs: number): number {
    const minute = Math.floor(nowMs / MINUTE_MS)
    if (minute !== this.#blockMinute) {
      this.#blockMinute = minute
      this.#blocksInMinute = 0
    }
    return this.#blocksInMinute
  }
}

const inside = new AddressList(['loopback', 'private'], (entry) =>
  checks.refuse('inside', 'a network', entry),
)

function isInside(subject: Subject): boolean {
  return inside.overlaps(networkOf(subject))
}
