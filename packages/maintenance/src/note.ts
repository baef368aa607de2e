import type { Change } from './state.ts'

/** Who changes something, and why; for the journal and the log. */
export interface Note {
  readonly by?: string | undefined
  readonly reason?: string | undefined
  readonly requestId?: string | undefined
  /** The change is refused when this is not the version of the state. Default: it is made in any case. */
  readonly version?: number | undefined
}

/** What of it becomes part of a change. */
export function told({ by, reason, requestId }: Note): Omit<Change, 'action'> {
  const entries = Object.entries({ by, reason, requestId }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries)
}
