/**
 * Counts who sends, blocks who sends too much, and answers who is blocked. Everything on the way of a request is
 * synchronous and local: reading the address, looking for a block, counting. What other processes decided arrives in the
 * background. It never blocks an address on an estimate, never one that is allowed, and by counting none that cannot be
 * that of a client.
 */
import { type Clock, readAddress } from '@holdfast/footing'
import type { BlockInfo } from './block-info.ts'
import { type BlockCounts, BlockRegister } from './block-register.ts'
import type { Block } from './blocks.ts'
import { Doubt } from './doubt.ts'
import type { Leniency } from './events.ts'
import { FlaggedUsers, type FlagInfo, type UserSummary } from './flagged-users.ts'
import { Fleet, type FleetCounts, type LocalBlocks } from './fleet.ts'
import { type ForwardingHeaders, namesAnother } from './forwarding.ts'
import type { Log } from './log.ts'
import { type Explanation, OperatorDecisions } from './operator-decisions.ts'
import type { GuardOptions } from './options.ts'
import { RequestCounts } from './request-counts.ts'
import type { BlockStore } from './store.ts'
import { readSubject, type Subject, subjectOf, subjectText, widened } from './subject.ts'

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
  readonly blocks: BlockCounts['blocks']
  readonly lifted: number
  /** Blocks not made, by why. */
  readonly lenient: Readonly<Record<Leniency, number>>
  /** Why nobody at all is blocked by counting, at present or within the last minute; `explain` knows of one address. */
  readonly doubt: Leniency | undefined
  /** Blocks dropped before their time, and counts given up, for lack of room. */
  readonly droppedBlocks: number
  readonly displacedCounts: number
  /** What did not count for the networks around a /64 because of an estimate alone: many addresses raise it for all. */
  readonly uncountedForNetworks: number
  readonly users: { readonly counted: number; readonly flagged: number; readonly displaced: number }
  /** How the blocks are shared; undefined when they are not. */
  readonly fleet: FleetCounts | undefined
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

const SWEEP_MS = 10_000
/** From this share of the limit on, requests are told to the other processes. */
const OFTEN = 1 / 8

/** The guard of one application: `app.abuseGuard`. */
export class AbuseGuard {
  readonly #clock: Clock
  readonly #register: BlockRegister
  readonly #counts: RequestCounts
  readonly #doubt: Doubt
  readonly #users: FlaggedUsers
  readonly #fleet: Fleet | undefined
  readonly #operators: OperatorDecisions
  readonly #maxPerMinute: number
  /** From these counts on, requests are told to the other processes, and their headers are looked at. */
  readonly #often: number
  readonly #nearBlock: number
  #refused = 0
  #counted = 0
  #unreadable = 0
  #cancelSweep: () => void = () => {}

  constructor(options: GuardOptions, { log, store }: AbuseGuardParts) {
    const { maxPerMinute, users, clock, policy, redis, syncMs } = options
    this.#clock = clock
    this.#register = new BlockRegister({ ...options, log })
    this.#counts = new RequestCounts(options)
    this.#doubt = new Doubt({ ...options, log })
    this.#users = new FlaggedUsers(users, clock, log)
    if (store !== undefined) {
      const available = () => redis?.available ?? true
      this.#fleet = new Fleet({ store, local: this.#local(), syncMs, clock, available })
    }
    this.#operators = new OperatorDecisions({
      clock,
      policy,
      register: this.#register,
      counts: this.#counts,
      doubt: this.#doubt,
      fleet: this.#fleet,
    })
    this.#maxPerMinute = maxPerMinute
    this.#often = maxPerMinute * OFTEN
    // Counted together, the first requests of each process may lead to a block.
    this.#nearBlock = this.#fleet === undefined ? maxPerMinute / 2 : this.#often
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
    this.#doubt.anybodyIsBelieved()
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
    let block = this.#register.refusing(subject, nowMs)
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
    if (this.#register.refusing(subject, nowMs) !== undefined) return
    this.#count(subject, cost, nowMs)
  }

  /** The block that refuses an address at present. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`. */
  blockOf(address: string): BlockInfo | undefined {
    return this.#operators.blockOf(address)
  }

  /** All blocks that hold, the latest first. */
  list(): BlockInfo[] {
    return this.#operators.list()
  }

  /** What is known about an address. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`. */
  explain(address: string): Explanation {
    return this.#operators.explain(address)
  }

  /**
   * Blocks an address, or an IPv6 network of 48, 56 or 64 bits, in all processes. It holds here at once; the answer
   * says whether the others know. `ms`: default `blockMs`. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`, `..._INPUT` and
   * `..._ALLOWED`.
   */
  block(
    address: string,
    options: { readonly ms?: number; readonly reason?: string } = {},
  ): Promise<BlockInfo> {
    return this.#operators.block(address, options)
  }

  /**
   * Ends the blocks of an address and of the networks around it, and forgets their offences and counts. `lifted`: those
   * of which this process or, for the address itself, any other one knew a block, be it one that had ended. `shared`:
   * whether the other processes know that it is over; if not, they are told as soon as that is possible. Raises
   * `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS`.
   */
  unblock(address: string): Promise<{ readonly lifted: readonly string[]; readonly shared: boolean }> {
    return this.#operators.unblock(address)
  }

  /**
   * Counts an event of a user; true when the user is flagged. `event` is a short name such as `login.failed`. Raises
   * `HOLDFAST_ERR_ABUSE_GUARD_INPUT`.
   */
  note(user: string, event: string): boolean {
    return this.#users.note(user, event)
  }

  /** Flags a user by hand. Raises `HOLDFAST_ERR_ABUSE_GUARD_INPUT`. */
  flag(user: string, reason: string): void {
    this.#users.flag(user, reason)
  }

  /** Takes the flag of a user away, and counts from 0 again; false when there was none. */
  unflag(user: string): boolean {
    return this.#users.unflag(user)
  }

  /** Why a user is flagged; undefined when not. */
  flagOf(user: string): FlagInfo | undefined {
    return this.#users.flagOf(user)
  }

  /** The flagged users, the latest first. */
  summary(): UserSummary {
    return this.#users.summary()
  }

  /** The addresses that sent most within the last minute, in this process. Reads the whole table. */
  top(most = 20): { readonly address: string; readonly count: number }[] {
    return this.#operators.top(most)
  }

  /** The numbers, as plain data. */
  snapshot(): AbuseGuardSnapshot {
    const nowMs = this.#clock.nowMs()
    return {
      blocked: this.#register.list(nowMs).length,
      refused: this.#refused,
      counted: this.#counted,
      unreadable: this.#unreadable,
      ...this.#register.counts(),
      lenient: this.#doubt.counts(),
      doubt: this.#doubt.at(nowMs),
      droppedBlocks: this.#register.dropped,
      displacedCounts: this.#counts.displaced,
      uncountedForNetworks: this.#counts.uncountedForNetworks,
      users: this.#users.counts(),
      fleet: this.#fleet?.counts(),
    }
  }

  /** What the fleet sees of this process. */
  #local(): LocalBlocks {
    return {
      adopt: (stored, decided) => {
        const freed = this.#register.adopt(stored, decided)
        if (freed !== undefined) this.#counts.forget(freed)
      },
      running: () => this.#register.running(),
      counted: (address, together) => this.#countedTogether(address, together),
    }
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#clock.schedule(SWEEP_MS, () => {
      this.#register.sweep()
      this.#sweepLater()
    })
  }

  #count(
    subject: Subject,
    cost: number,
    nowMs: number,
    request?: HeadersOwner,
    address?: string,
  ): Block | undefined {
    const count = this.#counts.add(subject, cost, nowMs)
    if (count > this.#often) this.#fleet?.note(subjectText(subject), cost)
    // Reading the headers costs more than all the rest, so only those are looked at that tell something: the first ones
    // of an address, and those before a block.
    const tells = count > this.#nearBlock || (count > 0 && count <= 2 * cost)
    const forwarded =
      request !== undefined && address !== undefined && tells
        ? this.#look(subject, namesAnother(request.headers, address), nowMs)
        : undefined
    if (count > this.#maxPerMinute) return this.#exceeds(subject, count, nowMs)
    if (subject.bits === 32) return undefined
    const share = this.#counts.shareForNetworks(subject, cost, count, nowMs)
    return share > 0 ? this.#countNetworks(subject, share, forwarded, nowMs) : undefined
  }

  #look(subject: Subject, forwarded: boolean, nowMs: number): boolean {
    this.#counts.look(subject, forwarded)
    if (!forwarded) this.#doubt.clientSeen(subject, nowMs)
    return forwarded
  }

  /**
   * The networks around a /64. They are not counted together with other processes: each process would count a part of
   * what a /64 sends, and the sum would be that of clients who are all allowed.
   */
  #countNetworks(
    subject: Subject,
    share: number,
    forwarded: boolean | undefined,
    nowMs: number,
  ): Block | undefined {
    for (const bits of [56, 48] as const) {
      const network = widened(subject, bits)
      const most = this.#counts.most(network)
      if (most === Number.POSITIVE_INFINITY) continue
      const together = this.#counts.add(network, share, nowMs)
      if (forwarded !== undefined) this.#counts.look(network, forwarded)
      const block = together > most ? this.#exceeds(network, together, nowMs) : undefined
      if (block !== undefined) return block
    }
    return undefined
  }

  /** What all processes counted together. */
  #countedTogether(address: string, together: number): void {
    const subject = readSubject(address)
    const nowMs = this.#clock.nowMs()
    if (subject === undefined || together <= this.#counts.most(subject)) return
    if (this.#register.holding(subject, nowMs) === undefined) this.#exceeds(subject, together, nowMs)
  }

  /** Blocks, or says why not. */
  #exceeds(subject: Subject, count: number, nowMs: number): Block | undefined {
    const why = this.#doubt.about(subject, this.#counts, nowMs)
    if (why !== undefined) {
      this.#doubt.spared(subject, count, why, nowMs)
      return undefined
    }
    this.#doubt.blocked(nowMs)
    const reason = `more than ${this.#counts.most(subject)} requests within a minute`
    const block = this.#register.punish(subject, reason, nowMs)
    this.#counts.forget(subject)
    void this.#fleet?.punish(subjectText(subject), reason)
    return block
  }
}
