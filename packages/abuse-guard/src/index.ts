export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type {
  AbuseGuard,
  AbuseGuardSnapshot,
  BlockInfo,
  Explanation,
  FlagInfo,
  UserSummary,
} from './abuse-guard.ts'
export type { BlockOrigin } from './blocks.ts'
export * as errors from './errors.ts'
export type { BlockEvent, FlagEvent, LenientEvent, Leniency, UnblockEvent } from './events.ts'
export type { FleetCounts } from './fleet.ts'
export type { AbuseGuardOptions, AdminOptions, Ipv6Options, UserOptions } from './options.ts'
export { abuseGuard, default, type RouteOptions } from './plugin.ts'
export type { BlockRedis } from './redis-store.ts'
