export {
  AbortedError,
  AcquireTimeoutError,
  AlreadyRegisteredError,
  ClosedError,
  DeadlineExceededError,
  OpenError,
  OptionError,
  QueueFullError,
  SaturatedError,
} from './errors.ts'
export { type Criticality, currentScope, type PoolScope, runInScope } from './request-scope.ts'
