export type { Clock, MetricsRegistry } from '@holdfast/footing'
export {
  AlreadyRegisteredError,
  ForbiddenError,
  LevelError,
  OptionError,
  UnauthenticatedError,
} from './errors.ts'
export { EVENT_TYPES, type EventLevel, type EventType, type LevelEvent, type ToldEvent } from './events.ts'
export { LEVELS, type Level, type LevelState, MAX_CHANGE_MS as MAX_LEVEL_CHANGE_MS } from './level-control.ts'
export { Logs, type LogsSnapshot, type TimedOptions } from './logs.ts'
export { maskText } from './masked-text.ts'
export type {
  AdminOptions,
  Destination,
  FileOptions,
  ForeignLogger,
  LoggedRouteOptions,
  LogsOptions,
  SharedLevel,
} from './options.ts'
export {
  identifiedResponse,
  type Logging,
  type LoggingOptions,
  logging,
  logging as default,
  serverOptions,
} from './plugin.ts'
export { isHarmlessId } from './request-ids.ts'
export type { Carrier } from './request-scope.ts'
export { scrub } from './scrub.ts'
export { formatTraceParent, parseTraceParent, type TraceParent } from './trace-parent.ts'
export type { UnreadAnswer } from './unread-requests.ts'
