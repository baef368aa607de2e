/** A state as it is kept: a document, and the version that the store gave it. */
export interface Kept {
  /** Milliseconds since the Unix epoch by the clock of the store, and larger than every version before. */
  readonly version: number
  readonly text: string
}

/** What a process finds when it looks. */
export interface Reading {
  /** The version that is there; 0 when there is none. */
  readonly version: number
  /** The document, when it is later than the one that was asked about. */
  readonly text: string | undefined
  /** The clock of the store, in milliseconds since the Unix epoch: windows begin and end by it in all processes. */
  readonly nowMs: number
}

/** What became of a change. */
export type Written =
  | { readonly written: true; readonly version: number; readonly nowMs: number }
  /** Somebody else was first. */
  | { readonly written: false; readonly version: number; readonly text: string }

/** What a process says about itself when it looks. */
export interface Report {
  /** Names the process; no other one ever has the name. */
  readonly id: string
  /** At most 8000 characters. */
  readonly text: string
}

/** A process that has looked lately. */
export interface Member extends Report {
  /** Since it last did. */
  readonly seenMsAgo: number
}

/** All processes. */
export interface Members {
  /** For how long the store has been hearing of processes: before that it may know of too few. */
  readonly heardForMs: number
  /** Whoever has not looked for `FORGET_MS` is not among them. At most `MAX_MEMBERS`, and then there may be more. */
  readonly members: readonly Member[]
}

/** A process that has not looked for so long is believed to be gone. */
export const FORGET_MS = 60_000
/** Of so many processes a store tells. */
export const MAX_MEMBERS = 1000

/**
 * Where the processes of a service agree on what is in force. Each operation is atomic. Every method may reject; whoever
 * calls goes on with what it knows.
 */
export interface MaintenanceStore {
  /** Whether it makes sense to ask at present. */
  readonly available: boolean
  /** Resolves with true as soon as it is available, and with false after `timeoutMs`. */
  ready(timeoutMs: number): Promise<boolean>
  /** Says what a process knows and does, and answers what there is. */
  sync(known: number, report: Report): Promise<Reading>
  /**
   * Writes a document in the place of version `expected`; a store that has lost its data takes it as well. Answers the
   * other document when there is a later one.
   */
  write(text: string, expected: number): Promise<Written>
  /** Puts back what the store has lost, unless it knows something later. */
  restore(kept: Kept): Promise<void>
  members(): Promise<Members>
  /** A process ends, and nobody has to wait for word of it. */
  leave(id: string): Promise<void>
  /** Calls back when there may be something new, also by this process; a call may be missed. */
  onChange(callback: () => void): () => void
}
