import diagnostics from 'node:diagnostics_channel'
import type { FleetChanges } from './options.ts'

/** Published on `holdfast:stale-cache:load` when a call of `load` has settled, or was given up. */
export interface LoadEvent {
  readonly cache: string
  readonly keys: readonly string[]
  readonly durationMs: number
  readonly outcome: 'loaded' | 'failed' | 'given-up'
  /** Why it failed. */
  readonly error?: unknown
}

/** Published on `holdfast:stale-cache:invalidate`. */
export interface InvalidateEvent {
  readonly cache: string
  readonly key?: string
  readonly tag?: string
  /** Values marked stale. */
  readonly marked: number
}

/** Published on `holdfast:stale-cache:snapshot` when the last-known-good file was read or written. */
export interface SnapshotEvent {
  readonly cache: string
  readonly file: string
  readonly operation: 'read' | 'write'
  /** 'absent': there was no file. 'ignored': it could not be trusted, see `problem`. */
  readonly outcome: 'done' | 'absent' | 'ignored' | 'failed'
  readonly entries: number
  readonly bytes: number
  readonly problem?: string
}

/** Published on `holdfast:stale-cache:fleet` when another process has told of changes, or may have in vain. */
export interface FleetEvent extends FleetChanges {
  readonly cache: string
}

/** The channels; a message is built only when somebody subscribed. */
export const channels = {
  load: diagnostics.channel('holdfast:stale-cache:load'),
  invalidate: diagnostics.channel('holdfast:stale-cache:invalidate'),
  fleet: diagnostics.channel('holdfast:stale-cache:fleet'),
  snapshot: diagnostics.channel('holdfast:stale-cache:snapshot'),
}
