export {
  RepresentationPolicy,
  type RepresentationPolicyOptions,
  type ValueSource,
} from './cache-headers.ts'
export type { PreconditionOutcome } from './conditional-request.ts'
export * as errors from './errors.ts'
export type { FleetEvent, InvalidateEvent, LoadEvent, SnapshotEvent } from './events.ts'
export type { FleetSnapshot } from './fleet.ts'
export type { Version } from './freshness.ts'
export type { LastKnownGoodSnapshot } from './last-known-good.ts'
export type {
  Clock,
  FleetChanges,
  LoadContext,
  MetricsRegistry,
  Row,
  StaleCacheOptions,
  StaleCacheSettings,
  UnrepresentedSettings,
} from './options.ts'
export type { Peeked, StaleReader } from './peeked.ts'
export { default, type StaleCachePluginOptions, staleCache } from './plugin.ts'
export {
  createRepresentation,
  type Representation,
  type RepresentationContent,
  type RepresentationOptions,
  type Variant,
} from './representation.ts'
export {
  checkPreconditions,
  type PeekedRepresentation,
  RepresentationSender,
  type RepresentationSenderSnapshot,
  withoutSetCookie,
} from './send-representation.ts'
export type { SharedRedis } from './shared-redis.ts'
export { type RefreshOptions, type RefreshReport, StaleCache, type Write } from './stale-cache.ts'
export type { StaleCacheSnapshot } from './stale-cache-snapshot.ts'
export { StaleCaches } from './stale-caches.ts'
