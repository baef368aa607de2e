export type { MetricsRegistry } from '@holdfast/footing'
export { prefersHtml } from './accept.ts'
export {
  type AnswerForm,
  type ErrorPage,
  ErrorPages,
  type ErrorPagesSnapshot,
  type SocketAnswer,
  type SocketName,
} from './error-pages.ts'
export {
  AlreadyRegisteredError,
  AuthorisationError,
  ConflictError,
  DatabaseError,
  type DatabaseFailure,
  ExpectationError,
  type ExternalFailure,
  ExternalServiceError,
  MaintenanceError,
  type MaintenanceNotice,
  MethodNotAllowedError,
  NotFoundError,
  OptionError,
  UnauthenticatedError,
  ValidationError,
} from './errors.ts'
export type { FailedEvent, UnreadableEvent } from './events.ts'
export type { Explanation } from './explanations.ts'
export type { Classification } from './failure.ts'
export type { Issue } from './issues.ts'
export type { ErrorPagesOptions } from './options.ts'
export {
  type ErrorPagesDecorator,
  type ErrorPagesPluginOptions,
  errorPages,
  errorPages as default,
} from './plugin.ts'
export type { Problem } from './problem.ts'
