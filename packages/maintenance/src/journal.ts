import type { Change } from './state.ts'

/** A change that was made. */
export interface Entry {
  /** Of the state that it led to; no other change has it. */
  readonly version: number
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number
  readonly change: Change
  /** The state that it led to, as a document. */
  readonly text: string
}

/**
 * Where changes are kept for good, such as a table: for whoever asks later who did it, and for a start with a Redis that
 * has lost everything. Every method may reject, and may take its time: what cannot be written is tried again.
 */
export interface MaintenanceJournal {
  /** Writes an entry, once: one with its version that is there already stays. */
  append(entry: Entry): Promise<void>
  /** The entry with the largest version. */
  latest(): Promise<Entry | undefined>
  /** At most `limit` entries with a smaller version than `before`, the latest first. */
  history(limit: number, before: number | undefined): Promise<readonly Entry[]>
}
