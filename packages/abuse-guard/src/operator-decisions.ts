/**
 * What people ask and decide about addresses. Every decision holds in this process at once, and is told to the other
 * ones. Raises `HOLDFAST_ERR_ABUSE_GUARD_ADDRESS` for what is no address.
 */
import { type BlockInfo, infoOf } from './block-info.ts'
import type { BlockRegister } from './block-register.ts'
import type { Doubt } from './doubt.ts'
import { AddressError, AllowedError } from './errors.ts'
import type { Leniency } from './events.ts'
import type { Fleet } from './fleet.ts'
import { type GuardOptions, inputs, MAX_HOLD_MS, MAX_REASON } from './options.ts'
import type { RequestCounts } from './request-counts.ts'
import { around, readSubject, type Subject, subjectText } from './subject.ts'

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
  /** Why this address would not be blocked by counting at present, unless it is allowed. */
  readonly doubt: Leniency | undefined
}

interface Parts extends Pick<GuardOptions, 'clock' | 'policy'> {
  readonly register: BlockRegister
  readonly counts: RequestCounts
  readonly doubt: Doubt
  readonly fleet: Fleet | undefined
}

/** The decisions at one process. What each method does is said at those of `AbuseGuard`. */
export class OperatorDecisions {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  blockOf(address: string): BlockInfo | undefined {
    const { register, clock } = this.#parts
    const nowMs = clock.nowMs()
    const block = register.holding(readGiven(address), nowMs)
    return block && infoOf(block, clock, nowMs)
  }

  list(): BlockInfo[] {
    const { register, clock } = this.#parts
    const nowMs = clock.nowMs()
    return register.list(nowMs).map((block) => infoOf(block, clock, nowMs))
  }

  explain(address: string): Explanation {
    const { register, counts, doubt, clock } = this.#parts
    const subject = readGiven(address)
    const nowMs = clock.nowMs()
    const block = register.holding(subject, nowMs)
    const why = doubt.about(subject, counts, nowMs)
    return {
      address: subjectText(subject),
      allowed: why === 'allowed',
      block: block && infoOf(block, clock, nowMs),
      counts: around(subject).map((one) => ({
        address: subjectText(one),
        count: counts.count(one, nowMs),
        most: counts.most(one),
      })),
      doubt: why === 'allowed' ? undefined : why,
    }
  }

  async block(
    address: string,
    options: { readonly ms?: number; readonly reason?: string },
  ): Promise<BlockInfo> {
    const { register, doubt, fleet, clock, policy } = this.#parts
    const subject = readGiven(address)
    // A mistyped time would leave the usual one in force, unnoticed.
    inputs.onlyKnown('', inputs.object('options', options), ['ms', 'reason'])
    const { ms = policy.blockMs, reason = 'blocked by hand' } = options
    inputs.duration('ms', ms, 1, MAX_HOLD_MS)
    inputs.text('reason', reason, MAX_REASON)
    if (doubt.allows(subject)) throw new AllowedError(subjectText(subject))
    const block = register.hold(subject, ms, reason, clock.nowMs())
    await fleet?.hold(subjectText(subject), ms, reason)
    return infoOf(register.get(subject) ?? block, clock, clock.nowMs())
  }

  async unblock(address: string): Promise<{ readonly lifted: readonly string[]; readonly shared: boolean }> {
    const { register, counts, fleet, clock } = this.#parts
    const given = readGiven(address)
    const nowMs = clock.nowMs()
    const lifted = new Set<string>()
    for (const one of around(given)) {
      counts.forget(one)
      if (register.lift(one, nowMs)) lifted.add(subjectText(one))
    }
    let shared = fleet !== undefined
    // Others may have blocked it a moment ago.
    const free = new Set([subjectText(given), ...lifted])
    const telling = [...free].map(async (one) => {
      const told = await fleet?.lift(one)
      if (told?.found) lifted.add(one)
      shared &&= told?.shared === true
    })
    await Promise.all(telling)
    return { lifted: [...lifted], shared }
  }

  top(most: number): { readonly address: string; readonly count: number }[] {
    const { counts, clock } = this.#parts
    inputs.count('most', most)
    return counts
      .top(most, clock.nowMs())
      .map(({ subject, count }) => ({ address: subjectText(subject), count }))
  }
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
