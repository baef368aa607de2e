/**
 * Counts who sends, blocks who sends too much, and answers who is blocked. Everything on the way of a request is
 * synchronous and local: reading the address, looking for a block, counting. What other processes decided arrives in the
 * background. It never blocks an address on an estimate, never one that is allowed, and nobody by counting while the
 * addresses it is given cannot be those of the clients.
 */
import { type Clock, readAddress } from '@holdfast/footing'
import { type Block, type BlockOrigin, Blocks } from './blocks.ts'
import { AddressError, AllowedError } from './errors.ts'
import { nextBlock } from './escalation.ts'
import { type Leniency, publishBlock, publishFlag, publishLenient, publishUnblock } from './events.ts'
import { Fleet, type FleetCounts } from './fleet.ts'
import { ClientsSeen, type ForwardingHeaders, namesAnother } from './forwarding.ts'
import { HeavyHitters } from './heavy-hitters.ts'
import { inputs, MAX_HOLD_MS, type ResolvedOptions } from './options.ts'
import type { BlockStore, StoredBlock } from './store.ts'
import {
  networkOf,
  readSubject,
  type Subject,
  subjectHash,
  subjectOf,
  subjectText,
  widened,
} from './subject.ts'
import { UserSpikes } from './user-spikes.ts'

/** A block, as people see it. */
export interface BlockInfo {
  /** `192.0.2.1`, or a network such as `2001:db8:1:2::/64`. */
  readonly address: string
  readonly reason: string
  readonly origin: BlockOrigin
  /** In ms since 1970. */
  readonly sinceMs: number
  readonly untilMs: number
  readonly retryAfterMs: number
  /** Blocks that count for the length of the next one, this one included. */
  readonly offences: number
  /** Requests that this process refused because of it. */
  readonly refused: number
  /** Whether other processes know it. */
  readonly shared: boolean
}

/** What is known about an address, and what it would take to block it. */
export interface Explanation {
  readonly address: string
  /** Whether it is never blocked. */
  readonly allowed: boolean
  readonly block: BlockInfo | undefined
  /** The address, and the networks around it that are counted, too. */
  readonly counts: readonly {
    readonly address: string
    /** Within the last minute, in this process; 0 also for one that is only estimated. */
    readonly count: number
    /** More than that leads to a block. */
    readonly most: number
  }[]
  /** Why nobody is blocked by counting at present. */
  readonly doubt: Leniency | undefined
}

/** A flagged user, as people see it. */
export interface FlagInfo {
  readonly user: string
  readonly reason: string
  readonly events: number
  /** In ms since 1970. */
  readonly sinceMs: number
}

/** What users did. */
export interface UserSummary {
  readonly flagged: readonly FlagInfo[]
  /** Users counted at present. */
  readonly users: number
  readonly maxEvents: number
  readonly windowMs: number
}

/** The numbers, as plain data. */
export interface AbuseGuardSnapshot {
  readonly blocked: number
  /** Requests of blocked clients. */
  readonly refused: number
  /** Requests that were counted. */
  readonly counted: number
  /** Requests whose address could not be read. */
  readonly unreadable: number
  /** Blocks that this process made by counting, that people made here, and that it learnt from other processes. */
  readonly blocks: { readonly automatic: number; readonly manual: number; readonly learnt: number }
  readonly lifted: number
  /** Blocks not made, by why. */
  readonly lenient: Readonly<Record<Leniency, number>>
  /** Why nobody is blocked by counting at present. */
  readonly doubt: Leniency | undefined
  /** Blocks dropped before their time, and counts given up, for lack of room. */
  readonly droppedBlocks: number
  readonly displacedCounts: number
  readonly users: { readonly counted: number; readonly flagged: number; readonly displaced: number }
  /** How the blocks are shared; undefined when they are not. */
  readonly fleet: FleetCounts | undefined
}

/** As much of a logger as this uses. */
export interface Log {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** Whose headers may be asked for; they are not before they are needed. */
export interface HeadersOwner {
  readonly headers: ForwardingHeaders
}

/** What a guard is made of beside its options. */
export interface AbuseGuardParts {
  readonly log: Log
  /** Where blocks are shared; undefined: they are not. */
  readonly store: BlockStore | undefined
}

type GuardOptions = Omit<
  ResolvedOptions<never>,
  'address' | 'admin' | 'registry' | 'appName' | 'startupWaitMs' | 'weights'
>

const MINUTE_MS = 60_000
const SWEEP_MS = 10_000
const MAX_REASON = 200
/** From this share of the limit on, requests are told to the other processes. */
const OFTEN = 1 / 8
const MAX_NAME = 255
/** So many clients seen without a word of somebody else show that addresses are those of clients. */
const ENOUGH_CLIENTS = 10

const explanations: Record<Leniency, string> = {
  allowed: 'it is in "allow"',
  'everybody-looks-alike':
    'hardly any client is seen without X-Forwarded-For or the like, so this may be a proxy: tell Fastify\'s "trustProxy" its addresses (a number is ignored by Fastify), or give "address"',
  'anybody-is-believed':
    'anybody can forge this address, because Fastify\'s "trustProxy" trusts everybody: give it the addresses of your proxies instead, or give "address"',
  'too-many-blocks': 'there were more than "maxBlocksPerMinute" blocks within a minute',
}

/** The guard of one application: `app.abuseGuard`. */
export class AbuseGuard {
  readonly #options: GuardOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #blocks: Blocks
  readonly #counts: HeavyHitters
  readonly #clientsSeen: ClientsSeen
  readonly #users: UserSpikes
  readonly #fleet: Fleet | undefined
  /** So many requests of one /64 within a minute count for the networks around it. */
  readonly #spreadBelow: number
  readonly #lenient: Record<Leniency, number> = {
    allowed: 0,
    'everybody-looks-alike': 0,
    'anybody-is-believed': 0,
    'too-many-blocks': 0,
  }
  readonly #toldAtMs = new Map<Leniency, number>()
  #doubt: { readonly why: Leniency; readonly untilMs: number } | undefined
  #anybodyIsBelieved = false
  #blockMinute = Number.NEGATIVE_INFINITY
  #blocksInMinute = 0
  #refused = 0
  #counted = 0
  #unreadable = 0
  #automatic = 0
  #manual = 0
  #learnt = 0
  #lifted = 0
  #cancelSweep: () => void = () => {}

  constructor(options: GuardOptions, { log, store }: AbuseGuardParts) {
    const { maxPerMinute, policy, maxTracked, maxBlocks, users, clock, seed, syncMs, redis } = options
    this.#options = options
    this.#clock = clock
    this.#log = log
    this.#blocks = new Blocks(maxBlocks, policy, seed | 0)
    this.#counts = new HeavyHitters({
      entries: maxTracked,
      windowMs: MINUTE_MS,
      protectedCount: Math.max(1, Math.ceil(maxPerMinute / 2)),
      seeds: [Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995, Math.imul(seed, 0x85ebca6b) ^ 0x27d4eb2f],
    })
    this.#clientsSeen = new ClientsSeen(MINUTE_MS)
    this.#users = new UserSpikes(users)
    this.#spreadBelow = Math.max(1, Math.floor(maxPerMinute / 4))
    if (store !== undefined) {
      const local = {
        adopt: (block: StoredBlock, decided: boolean) => this.#adopt(block, decided),
        running: () => this.#running(),
        counted: (address: string, together: number) => this.#countedTogether(address, together),
      }
      this.#fleet = new Fleet({ store, local, syncMs, clock, available: () => redis?.available ?? true })
    }
  }

  /** Begins to share, and to forget what is over. */
  start(): void {
    this.#fleet?.start()
    this.#sweepLater()
  }

  /** Reads the blocks of other processes; true when that succeeded, or when none are shared. */
  sync(): Promise<boolean> {
    return this.#fleet?.sync() ?? Promise.resolve(true)
  }

  /** The connection is back: everything is read again. */
  reconnected(): void {
    this.#fleet?.restart()
  }

  close(): void {
    this.#cancelSweep()
    this.#fleet?.close()
  }

  /** Told once when it was found out that a client may choose its address. */
  anybodyIsBelieved(): void {
    this.#anybodyIsBelieved = true
    if (this.#options.onDoubt === 'refuse') {
      this.#log.error(
        { why: 'anybody-is-believed' },
        `abuse-guard blocks nobody by counting: ${explanations['anybody-is-believed']}`,
      )
    }
  }

  /**
   * A request comes: answers the block that refuses it. Costs the reading of the address, a lookup and a count. With
   * `request` it is looked at whether the address can be that of a client. `admitBlocked`: nobody is refused.
   */
  arrive(
    address: string | undefined,
    cost = 1,
    request?: HeadersOwner,
    admitBlocked = false,
  ): Block | undefined {
    const bits = readAddress(address)
    if (bits === undefined || address === undefined) {
      this.#unreadable += 1
      return undefined
    }
    const nowMs = this.#clock.nowMs()
    const subject = subjectOf(bits)
    let block = this.#blockOf(subject, nowMs)
    if (block === undefined && cost > 0) {
      this.#counted += 1
      block = this.#count(subject, cost, nowMs, request, address)
    }
    if (block === undefined || admitBlocked) return undefined
    block.refused += 1
    this.#refused += 1
    return block
  }

  /** Counts more for a request that was let through, for example because of its answer. */
  charge(address: string | undefined, cost: number): void {
    const bits = readAddress(address)
    if (bits === undefined || cost === 0) return
    const nowMs = this.#clock.nowMs()
    const subject = subjectOf(bits)
    if (this.#blockOf(subject, nowMs) !== undefined) return
    this.#count(subject, cost, nowMs)
  }

  /** The block that refuses an address at present. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`. */
  blockOf(address: string): BlockInfo | undefined {
    const nowMs = this.#clock.nowMs()
    const block = this.#holding(readGiven(address), nowMs)
    return block && this.#info(block, nowMs)
  }

  /** All blocks that hold, the latest first. */
  list(): BlockInfo[] {
    const nowMs = this.#clock.nowMs()
    return this.#blocks.list(nowMs).map((block) => this.#info(block, nowMs))
  }

  /** What is known about an address. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`. */
  explain(address: string): Explanation {
    const subject = readGiven(address)
    const nowMs = this.#clock.nowMs()
    const block = this.#holding(subject, nowMs)
    return {
      address: subjectText(subject),
      allowed: this.#options.allow.overlaps(networkOf(subject)),
      block: block && this.#info(block, nowMs),
      counts: around(subject).map((one) => ({
        address: subjectText(one),
        count: this.#counts.count(one, nowMs),
        most: this.#most(one),
      })),
      doubt: this.#doubtAt(nowMs),
    }
  }

  /**
   * Blocks an address, or an IPv6 network of 48, 56 or 64 bits, in all processes. It holds here at once; the answer
   * says whether the others know. `ms`: default `blockMs`. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`, `..._INPUT` and
   * `..._ALLOWED`.
   */
  async block(
    address: string,
    options: { readonly ms?: number; readonly reason?: string } = {},
  ): Promise<BlockInfo> {
    const subject = readGiven(address)
    // A mistyped time would leave the usual one in force, unnoticed.
    inputs.onlyKnown('', inputs.object('options', options), ['ms', 'reason'])
    const { ms = this.#options.policy.blockMs, reason = 'blocked by hand' } = options
    inputs.duration('ms', ms, 1, MAX_HOLD_MS)
    inputs.text('reason', reason, MAX_REASON)
    if (this.#options.allow.overlaps(networkOf(subject))) throw new AllowedError(subjectText(subject))
    const nowMs = this.#clock.nowMs()
    const offences = this.#blocks.get(subject)?.offences ?? 0
    const block = this.#put(subject, { untilMs: nowMs + ms, offences, reason, origin: 'manual' }, nowMs)
    this.#manual += 1
    await this.#fleet?.hold(subjectText(subject), ms, reason)
    const present = this.#blocks.get(subject) ?? block
    return this.#info(present, this.#clock.nowMs())
  }

  /**
   * Ends the blocks of an address and of the networks around it, and forgets their offences and counts. `lifted`: those
   * of which this process knew a block, be it one that had ended; the other processes are told of the address in any
   * case. `shared`: whether they know; if not, they are told as soon as that is possible. Raises
   * `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`.
   */
  async unblock(address: string): Promise<{ readonly lifted: readonly string[]; readonly shared: boolean }> {
    const given = readGiven(address)
    const nowMs = this.#clock.nowMs()
    const lifted: string[] = []
    for (const one of around(given)) {
      this.#counts.forget(one)
      const held = this.#blocks.active(one, nowMs) !== undefined
      if (this.#blocks.delete(one)) lifted.push(subjectText(one))
      if (!held) continue
      this.#lifted += 1
      publishUnblock({ address: subjectText(one), learnt: false })
      this.#log.info({ address: subjectText(one) }, 'address unblocked')
    }
    // Others may have blocked it a moment ago.
    const free = new Set([subjectText(given), ...lifted])
    const told = await Promise.all([...free].map((one) => this.#fleet?.lift(one) ?? false))
    return { lifted, shared: told.every(Boolean) }
  }

  /**
   * Counts an event of a user; true when the user is flagged. `event` is a short name such as `login.failed`. Raises
   * `HOLDFAST_ERR_ABUSE_GUARD_INPUT`.
   */
  note(user: string, event: string): boolean {
    inputs.text('user', user, MAX_NAME)
    inputs.text('event', event, MAX_NAME)
    const flag = this.#users.note(user, event, this.#clock.nowMs())
    if (flag !== undefined) this.#tellFlag(flag.user, flag.reason, flag.events)
    return this.#users.flagOf(user) !== undefined
  }

  /** Flags a user by hand. Raises `HOLDFAST_ERR_ABUSE_GUARD_INPUT`. */
  flag(user: string, reason: string): void {
    inputs.text('user', user, MAX_NAME)
    inputs.text('reason', reason, MAX_REASON)
    const { events } = this.#users.flag(user, reason, this.#clock.nowMs())
    this.#tellFlag(user, reason, events)
  }

  /** Takes the flag of a user away, and counts from 0 again; false when there was none. */
  unflag(user: string): boolean {
    return this.#users.unflag(user)
  }

  /** Why a user is flagged; undefined when not. */
  flagOf(user: string): FlagInfo | undefined {
    return this.summary().flagged.find((flag) => flag.user === user)
  }

  /** The flagged users, the latest first. */
  summary(): UserSummary {
    const { maxEvents, windowMs } = this.#options.users
    const flagged = this.#users.flags().map(({ user, reason, events, sinceMs }) => ({
      user,
      reason,
      events,
      sinceMs: this.#wall(sinceMs),
    }))
    return { flagged, users: this.#users.users, maxEvents, windowMs }
  }

  /** The addresses that sent most within the last minute, in this process. Reads the whole table. */
  top(most = 20): { readonly address: string; readonly count: number }[] {
    inputs.count('most', most)
    return this.#counts
      .top(most, this.#clock.nowMs())
      .map(({ subject, count }) => ({ address: subjectText(subject), count }))
  }

  /** The numbers, as plain data. */
  snapshot(): AbuseGuardSnapshot {
    const nowMs = this.#clock.nowMs()
    return {
      blocked: this.#blocks.list(nowMs).length,
      refused: this.#refused,
      counted: this.#counted,
      unreadable: this.#unreadable,
      blocks: { automatic: this.#automatic, manual: this.#manual, learnt: this.#learnt },
      lifted: this.#lifted,
      lenient: { ...this.#lenient },
      doubt: this.#doubtAt(nowMs),
      droppedBlocks: this.#blocks.dropped,
      displacedCounts: this.#counts.displaced,
      users: {
        counted: this.#users.users,
        flagged: this.#users.flagged,
        displaced: this.#users.displaced,
      },
      fleet: this.#fleet?.counts(),
    }
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#clock.schedule(SWEEP_MS, () => {
      this.#blocks.sweep(this.#clock.nowMs())
      this.#sweepLater()
    })
  }

  /** The block of an address, or of a network around it. */
  #blockOf(subject: Subject, nowMs: number): Block | undefined {
    const blocks = this.#blocks
    if (blocks.size === 0) return undefined
    const own = blocks.active(subject, nowMs)
    if (own !== undefined || subject.bits === 32) return own
    if (blocks.hasBits(56)) {
      const wider = blocks.active(widened(subject, 56), nowMs)
      if (wider !== undefined) return wider
    }
    return blocks.hasBits(48) ? blocks.active(widened(subject, 48), nowMs) : undefined
  }

  #holding(subject: Subject, nowMs: number): Block | undefined {
    for (const one of around(subject)) {
      const block = this.#blocks.active(one, nowMs)
      if (block !== undefined) return block
    }
    return undefined
  }

  #count(
    subject: Subject,
    cost: number,
    nowMs: number,
    request?: HeadersOwner,
    address?: string,
  ): Block | undefined {
    const { maxPerMinute } = this.#options
    const count = this.#counts.add(subject, cost, nowMs)
    if (count > maxPerMinute * OFTEN) this.#fleet?.note(subjectText(subject), cost)
    let forwarded: boolean | undefined
    // Reading the headers costs more than all the rest, so only those are looked at that tell something: the first ones
    // of an address, and those before a block. Counted together, the first requests of each process may lead to one.
    const before = maxPerMinute * (this.#fleet === undefined ? 1 / 2 : OFTEN)
    const tells = count > before || (count > 0 && count <= 2 * cost)
    if (request !== undefined && address !== undefined && tells) {
      forwarded = namesAnother(request.headers, address)
      this.#counts.look(subject, forwarded)
      if (!forwarded) this.#clientsSeen.add(this.#hash(subject), nowMs)
    }
    if (count > maxPerMinute) return this.#exceeds(subject, count, nowMs)
    // Who sends much from one /64 is found there. The networks around it are for those who go from one to the next, so
    // only a part of what each sends counts for them. They are not counted together with other processes: each process
    // would count such a part, and the sum would be that of clients who are all allowed.
    if (subject.bits === 32) return undefined
    if (count - cost >= this.#spreadBelow) return undefined
    // What it sent while the table had no room for it is in the estimate alone.
    const sent = count - cost + this.#counts.estimate(subject, nowMs)
    const share = Math.min(cost, this.#spreadBelow - Math.max(0, sent))
    if (share <= 0) return undefined
    for (const bits of [56, 48] as const) {
      const network = widened(subject, bits)
      const most = this.#most(network)
      if (most === Number.POSITIVE_INFINITY) continue
      const together = this.#counts.add(network, share, nowMs)
      if (forwarded !== undefined) this.#counts.look(network, forwarded)
      if (together > most) {
        const block = this.#exceeds(network, together, nowMs)
        if (block !== undefined) return block
      }
    }
    return undefined
  }

  #hash({ bits, a, b }: Subject): number {
    return subjectHash(this.#options.seed | 0, bits, a, b)
  }

  /** What all processes counted together. */
  #countedTogether(address: string, together: number): void {
    const subject = readSubject(address)
    const nowMs = this.#clock.nowMs()
    if (subject === undefined || together <= this.#most(subject)) return
    if (this.#holding(subject, nowMs) === undefined) this.#exceeds(subject, together, nowMs)
  }

  #most({ bits }: Subject): number {
    const { maxPerMinute, ipv6 } = this.#options
    if (bits === 56) return maxPerMinute * ipv6.per56
    return bits === 48 ? maxPerMinute * ipv6.per48 : maxPerMinute
  }

  /** Blocks, or says why not. */
  #exceeds(subject: Subject, count: number, nowMs: number): Block | undefined {
    const why = this.#whyLenient(subject, nowMs)
    if (why !== undefined) {
      this.#beLenient(subject, count, why, nowMs)
      return undefined
    }
    this.#blocksInMinute += 1
    const known = this.#blocks.get(subject)
    const reason = `more than ${this.#most(subject)} requests within a minute`
    const next = nextBlock(known, nowMs, this.#options.policy)
    const block = this.#put(subject, { ...next, reason, origin: 'automatic' }, nowMs)
    this.#counts.forget(subject)
    this.#automatic += 1
    void this.#fleet?.punish(subjectText(subject), reason)
    return block
  }

  #whyLenient(subject: Subject, nowMs: number): Leniency | undefined {
    if (this.#options.allow.overlaps(networkOf(subject))) return 'allowed'
    if (this.#options.onDoubt === 'refuse') {
      if (this.#anybodyIsBelieved) return 'anybody-is-believed'
      const forwarded = this.#counts.forwardedShare(subject) >= 0.5
      if (forwarded && this.#clientsSeen.count(nowMs) < ENOUGH_CLIENTS) return 'everybody-looks-alike'
    }
    const minute = Math.floor(nowMs / MINUTE_MS)
    if (minute !== this.#blockMinute) {
      this.#blockMinute = minute
      this.#blocksInMinute = 0
    }
    return this.#blocksInMinute >= this.#options.maxBlocksPerMinute ? 'too-many-blocks' : undefined
  }

  #beLenient(subject: Subject, count: number, why: Leniency, nowMs: number): void {
    this.#lenient[why] += 1
    if (why !== 'allowed') this.#doubt = { why, untilMs: nowMs + MINUTE_MS }
    const told = this.#toldAtMs.get(why)
    if (told !== undefined && nowMs - told < MINUTE_MS) return
    this.#toldAtMs.set(why, nowMs)
    const address = subjectText(subject)
    publishLenient({ address, count, why })
    const message = `${address} sends too much and is not blocked: ${explanations[why]}`
    if (why === 'allowed') this.#log.info({ address, count, why }, message)
    else this.#log.error({ address, count, why }, message)
  }

  #doubtAt(nowMs: number): Leniency | undefined {
    if (this.#anybodyIsBelieved && this.#options.onDoubt === 'refuse') return 'anybody-is-believed'
    return this.#doubt !== undefined && nowMs < this.#doubt.untilMs ? this.#doubt.why : undefined
  }

  #put(
    subject: Subject,
    { untilMs, offences, reason, origin }: Pick<Block, 'untilMs' | 'offences' | 'reason' | 'origin'>,
    nowMs: number,
  ): Block {
    const block = { subject, untilMs, offences, reason, origin, sinceMs: nowMs, refused: 0, shared: false }
    this.#blocks.set(block, nowMs)
    this.#tellBlock(block, nowMs, false)
    return block
  }

  #tellBlock({ subject, origin, reason, offences, untilMs }: Block, nowMs: number, learnt: boolean): void {
    const address = subjectText(subject)
    const forMs = Math.round(untilMs - nowMs)
    publishBlock({ address, origin, reason, forMs, offences, learnt })
    // Whoever decides says so; the others may be many.
    this.#log[learnt ? 'debug' : 'info'](
      { address, origin, reason, for_ms: forMs, offences },
      'address blocked',
    )
  }

  #tellFlag(user: string, reason: string, events: number): void {
    publishFlag({ user, reason, events })
    this.#log.warn({ user, reason, events }, 'user flagged')
  }

  /** What the store says about an address. */
  #adopt(stored: StoredBlock, decided: boolean): void {
    const subject = readSubject(stored.address)
    if (subject === undefined || this.#options.allow.overlaps(networkOf(subject))) return
    const nowMs = this.#clock.nowMs()
    const known = this.#blocks.get(subject)
    const running = known !== undefined && known.untilMs > nowMs
    if (!(stored.remainingMs > 0)) {
      // Somebody was freed after his block had ended.
      if (!running && stored.offences === 0) this.#blocks.delete(subject)
      // A block that the store has not heard of is not ended by it.
      if (!running || !(known.shared || decided)) return
      this.#blocks.delete(subject)
      this.#counts.forget(subject)
      this.#lifted += 1
      publishUnblock({ address: stored.address, learnt: true })
      this.#log.debug({ address: stored.address }, 'address unblocked')
      return
    }
    const block = {
      subject,
      untilMs: nowMs + Math.min(MAX_HOLD_MS, stored.remainingMs),
      sinceMs: nowMs - stored.ageMs,
      offences: stored.offences,
      reason: stored.reason,
      origin: stored.origin,
      refused: running ? known.refused : 0,
      shared: true,
    }
    this.#blocks.set(block, nowMs)
    if (running) return
    this.#learnt += 1
    this.#tellBlock(block, nowMs, true)
  }

  #running(): (StoredBlock & { readonly shared: boolean })[] {
    const nowMs = this.#clock.nowMs()
    return this.#blocks
      .list(nowMs)
      .map(({ subject, untilMs, sinceMs, offences, origin, reason, shared }) => ({
        address: subjectText(subject),
        remainingMs: untilMs - nowMs,
        ageMs: nowMs - sinceMs,
        offences,
        origin,
        reason,
        shared,
      }))
  }

  #info(block: Block, nowMs: number): BlockInfo {
    const { subject, reason, origin, offences, refused, shared, sinceMs, untilMs } = block
    return {
      address: subjectText(subject),
      reason,
      origin,
      sinceMs: this.#wall(sinceMs),
      untilMs: this.#wall(untilMs),
      retryAfterMs: Math.max(0, untilMs - nowMs),
      offences,
      refused,
      shared,
    }
  }

  /** A time of the monotonic clock in ms since 1970. */
  #wall(atMs: number): number {
    return Math.round(this.#clock.wallMs() + atMs - this.#clock.nowMs())
  }
}

/** A subject and the networks around it that are counted. */
function around(subject: Subject): Subject[] {
  if (subject.bits === 64) return [subject, widened(subject, 56), widened(subject, 48)]
  return subject.bits === 56 ? [subject, widened(subject, 48)] : [subject]
}

function readGiven(address: string): Subject {
  const subject = typeof address === 'string' ? readSubject(address) : undefined
  if (subject === undefined) {
    throw new AddressError(
      typeof address === 'string' ? JSON.stringify(address.slice(0, 80)) : String(address),
    )
  }
  return subject
}
