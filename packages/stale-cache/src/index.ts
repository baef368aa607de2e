export * as errors from './errors.ts'
export type { InvalidateEvent, LoadEvent, SnapshotEvent } from './events.ts'
export type { Version } from './freshness.ts'
export type { LoadContext, Row, StaleCacheOptions } from './options.ts'
export {
  type Peeked,
  type RefreshReport,
  StaleCache,
  type StaleCacheSnapshot,
  type StaleReader,
  type Write,
} from './stale-cache.ts'
