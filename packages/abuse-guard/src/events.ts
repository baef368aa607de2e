import { channel } from 'node:diagnostics_channel'
import type { BlockOrigin } from './blocks.ts'

/** Why an address that sends too much is not blocked. */
export type Leniency = 'allowed' | 'everybody-looks-alike' | 'anybody-is-believed' | 'too-many-blocks'

/** Message on `holdfast:abuse-guard:block`: this process blocked an address, or learnt of a block. */
export interface BlockEvent {
  readonly address: string
  readonly origin: BlockOrigin
  readonly reason: string
  readonly forMs: number
  readonly offences: number
  /** Whether it was decided by another process. */
  readonly learnt: boolean
}

/** Message on `holdfast:abuse-guard:unblock`: a block was lifted, here or by another process. */
export interface UnblockEvent {
  readonly address: string
  readonly learnt: boolean
}

/** Message on `holdfast:abuse-guard:lenient`: an address sends too much, and is not blocked. At most one a minute. */
export interface LenientEvent {
  readonly address: string
  readonly count: number
  readonly why: Leniency
}

/** Message on `holdfast:abuse-guard:flag`: a user was flagged. */
export interface FlagEvent {
  readonly user: string
  readonly reason: string
  readonly events: number
}

const channels = {
  block: channel('holdfast:abuse-guard:block'),
  unblock: channel('holdfast:abuse-guard:unblock'),
  lenient: channel('holdfast:abuse-guard:lenient'),
  flag: channel('holdfast:abuse-guard:flag'),
}

export function publishBlock(event: BlockEvent): void {
  if (channels.block.hasSubscribers) channels.block.publish(event)
}

export function publishUnblock(event: UnblockEvent): void {
  if (channels.unblock.hasSubscribers) channels.unblock.publish(event)
}

export function publishLenient(event: LenientEvent): void {
  if (channels.lenient.hasSubscribers) channels.lenient.publish(event)
}

export function publishFlag(event: FlagEvent): void {
  if (channels.flag.hasSubscribers) channels.flag.publish(event)
}
