import type { Clock } from '@holdfast/footing'
import type { Block, BlockOrigin } from './blocks.ts'
import { subjectText } from './subject.ts'

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

/** The block as people see it at `nowMs`. */
export function infoOf(block: Block, clock: Clock, nowMs: number): BlockInfo {
  const { subject, reason, origin, offences, refused, shared, sinceMs, untilMs } = block
  return {
    address: subjectText(subject),
    reason,
    origin,
    sinceMs: wallOf(sinceMs, clock),
    untilMs: wallOf(untilMs, clock),
    retryAfterMs: Math.max(0, untilMs - nowMs),
    offences,
    refused,
    shared,
  }
}

/** A time of the monotonic clock in ms since 1970. */
export function wallOf(atMs: number, clock: Clock): number {
  return Math.round(clock.wallMs() + atMs - clock.nowMs())
}
