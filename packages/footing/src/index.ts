export { Authorisation, type OperatorGuard } from './authorisation.ts'
export {
  answerBare,
  type BareAnswer,
  type BareSocket,
  canAnswer,
  responseOn,
  statusOfUnread,
} from './bare-answer.ts'
export { type BearerVerdict, bearerCheck } from './bearer.ts'
export {
  type AddressBits,
  AddressList,
  addressText,
  clientAddress,
  clientNetwork,
  firstOf,
  type Network,
  namedNetworks,
  networkText,
  readAddress,
  readNetwork,
} from './client-address.ts'
export { afterTurn, type Clock, holdProcess, LONGEST_TIMER_MS, systemClock } from './clock.ts'
export { isOfContent } from './content-headers.ts'
export { type AnsweringReply, answerLikeHandler, ignoreRejection } from './handler-answer.ts'
export { disposeOf, isTakenOver, type RawReply, type ReplyLike, takeOver } from './late-reply.ts'
export type { MetricsRegistry } from './metrics-registry.ts'
export { type Invalid, OptionChecks } from './option-checks.ts'
export { type Preference, preferencesOf } from './preferences.ts'
export { isProbe, probeConfig } from './probe-route.ts'
export {
  type LoggingRequest,
  type PageOfRefusal,
  type RefusalPage,
  RefusalPages,
  type Refused,
} from './refusal-pages.ts'
export { pathOf } from './request-path.ts'
export { type RetryAfter, wholeSeconds, withRetryAfter } from './retry-after.ts'
export { type Labelled, SharedMetrics, type SharedMetricsSettings } from './shared-metrics.ts'
export { type Showing, type ShownMetric, showMetrics } from './shown-metrics.ts'
export { endsWithConnection, type WaitingResponse } from './waiting-answers.ts'
