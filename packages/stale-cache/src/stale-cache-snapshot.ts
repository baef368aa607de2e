import type { FleetSnapshot } from './fleet.ts'
import type { LastKnownGoodSnapshot } from './last-known-good.ts'

/** Counters since construction, and gauges of this moment. */
export interface StaleCacheSnapshot {
  readonly name: string
  /** Reads answered with a fresh value. */
  readonly fresh: number
  /** Reads answered with a stale value. */
  readonly stale: number
  /** Reads answered from the last-known-good file. */
  readonly snapshot: number
  /** Peeks answered with a compiled default. */
  readonly default: number
  /** Calls of `get` answered from a negative entry. */
  readonly missing: number
  /** Calls of `get` that had to wait for a load, because nothing usable was held. */
  readonly awaited: number
  /** Calls of `load`. */
  readonly loads: number
  /** Calls of `load` that rejected. */
  readonly loadsFailed: number
  /** Calls of `load` that had not settled at `maxLoadMs`. */
  readonly loadsGivenUp: number
  /** Keys stored by loads. */
  readonly keysLoaded: number
  /** Keys that the source did not know. */
  readonly keysMissing: number
  /** Loaded keys whose row was not stored: older than what is held, or too large. */
  readonly keysKept: number
  /** Keys whose load failed or whose row could not be used. */
  readonly keysFailed: number
  /** Reads of keys that cannot exist. */
  readonly keysRefused: number
  /** Never-seen keys that were not queued because `maxQueuedKeys` were. */
  readonly keysDropped: number
  /** Rows of keys that had not been asked for. */
  readonly rowsUnasked: number
  /** Values larger than `maxBytes`. */
  readonly tooLarge: number
  /** Values that left because of `maxEntries` or `maxBytes`. */
  readonly evicted: number
  /** Values of the file that `revive` or `represent` refused. */
  readonly recordsRefused: number
  readonly entries: number
  /** Memory held by the values, as estimated. */
  readonly bytes: number
  readonly tags: number
  readonly negativeEntries: number
  readonly defaults: number
  /** Times `fallback` or `represent` threw for a default. */
  readonly defaultsFailed: number
  readonly queued: number
  readonly inFlight: number
  readonly loadsRunning: number
  /** Representations whose compressed encodings are being built. */
  readonly compressing: number
  readonly compressionFailed: number
  /** The last-known-good file, where there is one. */
  readonly file: LastKnownGoodSnapshot | undefined
  /** The second level and the messages, where there is one. */
  readonly fleet: FleetSnapshot | undefined
  readonly closed: boolean
}
