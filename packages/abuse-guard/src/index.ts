export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { AbuseGuard, AbuseGuardSnapshot } from './abuse-guard.ts'
export type { BlockInfo } from './block-info.ts'
export type { BlockOrigin } from './blocks.ts'
export * as errors from './errors.ts'
export type { BlockEvent, FlagEvent, Leniency, LenientEvent, UnblockEvent } from './events.ts'
export type { FlagInfo, UserSummary } from './flagged-users.ts'
export type { FleetCounts } from './fleet.ts'
export type { Explanation } from './operator-decisions.ts'
export type {
  AbuseGuardOptions,
  AbuseGuardRouteOptions,
  AdminOptions,
  Ipv6Options,
  UserOptions,
} from './options.ts'
export { abuseGuard, default } from './plugin.ts'
export type { BlockRedis } from './redis-store.ts'
export { trustedProxies } from './trusted-proxies.ts'
