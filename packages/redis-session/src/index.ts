export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { SessionStatistics } from './activity.ts'
export { CallbackStore, type StoreCallback, type StoredSession } from './callback-store.ts'
export type { Device } from './device.ts'
export type { EndListener, EndReason } from './end-watch.ts'
export * as errors from './errors.ts'
export type { OddityEvent, OddityName, OutageEvent, SessionEvent } from './events.ts'
export type { Profile } from './lifetime.ts'
export type { CallbackStoreOptions, CookieOptions, ProfileOptions } from './options.ts'
export {
  default,
  type RedisSession,
  type RedisSessionOptions,
  type RedisSessionRouteOptions,
  type RedisSessionSnapshot,
  redisSession,
  type SessionMode,
  sessionFields,
} from './plugin.ts'
export type { Principal, SessionUser } from './principal.ts'
export { FileLog } from './revocation-file.ts'
export type { LogEntry, RevocationLog } from './revocation-log.ts'
export { TableLog, type TableQuery, tableLogSql } from './revocation-table.ts'
export type { LoginOptions, Session } from './session.ts'
export type { SessionCounts } from './session-counts.ts'
export type { DataOf, FieldReader, FieldReaders } from './session-data.ts'
export type { SessionRedis } from './store.ts'
export type { UserSession } from './user-sessions.ts'
