import type { BlockOrigin } from './blocks.ts'

/** A block as a store knows it. Times are relative, so that no two clocks need to agree. */
export interface StoredBlock {
  /** `192.0.2.1` or `2001:db8:1:2::/64`. */
  readonly address: string
  /** Until it ends; 0 for one that has ended or was lifted. */
  readonly remainingMs: number
  /** Since it began. */
  readonly ageMs: number
  readonly offences: number
  readonly origin: BlockOrigin
  readonly reason: string
}

/** How far somebody has read. */
export interface Cursor {
  readonly epoch: string
  readonly version: number
}

/** What changed since a cursor. */
export interface Changes {
  readonly cursor: Cursor
  readonly blocks: readonly StoredBlock[]
  /** Whether this is the beginning of everything: the cursor was unknown to the store, as after a loss of data. */
  readonly fromTheStart: boolean
  /** Whether there is more behind the cursor. */
  readonly more: boolean
}

/**
 * Where the processes of a service tell each other their blocks. Each operation is atomic, and the time is the store's,
 * so neither clocks nor races between processes make a block longer. Every method may reject; whoever calls goes on with
 * what it knows.
 */
export interface BlockStore {
  /**
   * Blocks by the rules of escalation, and counts from 0 again; answers the block that runs already, when there is one.
   */
  punish(address: string, reason: string): Promise<StoredBlock>
  /** Blocks for a time that a person chose, in the place of any other block; the offences stay as they are. */
  hold(address: string, ms: number, reason: string): Promise<StoredBlock>
  /**
   * Says again what a process knew, after a loss of data or of the connection. What the store knows wins, when it runs
   * or was ended after this block began.
   */
  restore(block: StoredBlock): Promise<StoredBlock>
  /** Ends a block, and forgets the offences and the counts; answers whether there was a block or an offence. */
  lift(address: string): Promise<boolean>
  /** Reads on from a cursor; from the start without one. */
  changes(cursor: Cursor | undefined): Promise<Changes>
  /**
   * Adds requests of the last few seconds to what all processes counted for an address, and answers the sum: never more
   * than came within the last minute.
   */
  count(address: string, requests: number): Promise<number>
  /** Calls back soon after any change, also one of this process; a call may be missed. */
  onChange(callback: () => void): () => void
}
