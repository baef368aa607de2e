import createError from '@fastify/error'

/** An option given to `register()` cannot be used. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_HEALTH_OPTION',
  'health option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. Raised at registration. */
export const AlreadyRegisteredError = createError<[]>(
  'HOLDFAST_ERR_HEALTH_ALREADY_REGISTERED',
  'health is registered already, here or in a scope around this one; use its app.health',
  500,
)

/** A report is no function. Raised by `addReport()`. */
export const ReportOptionError = createError<[report: string, received: string]>(
  'HOLDFAST_ERR_HEALTH_REPORT_OPTION',
  'health report "%s" must be a function that answers an object at once, received %s',
  500,
)

/** The management listener has no such page. Answered as a problem document. */
export const UnknownPageError = createError<[]>(
  'HOLDFAST_ERR_HEALTH_UNKNOWN_PAGE',
  'the management listener has no such page',
  404,
)

/** A check cannot be registered as described. */
export const CheckOptionError = createError<
  [check: string, option: string, expected: string, received: string]
>('HOLDFAST_ERR_HEALTH_CHECK_OPTION', 'health check "%s": option "%s" must be %s, received %s', 500)

/** A check of this name exists already. */
export const DuplicateCheckError = createError<[name: string]>(
  'HOLDFAST_ERR_HEALTH_DUPLICATE_CHECK',
  'a health check named "%s" exists already; give it another name or remove the first with the function that addCheck() returned',
  500,
)

/** A report of this page and name exists already. */
export const DuplicateReportError = createError<[page: string, name: string]>(
  'HOLDFAST_ERR_HEALTH_DUPLICATE_REPORT',
  'page "%s" has a report named "%s" already; give it another name or remove the first with the function that addReport() returned',
  500,
)

/** One more check or report than the stated maximum. */
export const LimitError = createError<[what: string, limit: number, option: string]>(
  'HOLDFAST_ERR_HEALTH_LIMIT',
  'there are %s already, the maximum is %s; raise the option "%s" or register fewer',
  500,
)

/** A check, report, feature or group name that could not appear safely in a path, a label or a log. */
export const NameError = createError<[what: string, value: string]>(
  'HOLDFAST_ERR_HEALTH_NAME',
  'the %s name is %s; use 1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit',
  500,
)

/** The registry was closed: no check can be added, and nothing will be confirmed any more. */
export const ClosedError = createError<[what: string]>(
  'HOLDFAST_ERR_HEALTH_CLOSED',
  '%s: the application is closed; do this before app.close()',
  500,
)

/** The management listener could not be opened. */
export const ManagementListenError = createError<[address: string, why: string, options: ErrorOptions]>(
  'HOLDFAST_ERR_HEALTH_MANAGEMENT_LISTEN',
  'the management listener cannot listen on %s: %s; choose another "management.port" or "management.host"',
  500,
)

/** The worker thread that answers liveness could not listen. */
export const LivenessListenError = createError<[address: string, why: string, options: ErrorOptions]>(
  'HOLDFAST_ERR_HEALTH_LIVENESS_LISTEN',
  'the liveness worker cannot listen on %s: %s; choose another "livenessWorker.port" or "livenessWorker.host"',
  500,
)

/** `/readyz/<check>` and its siblings: no such check in that group. Answered as a problem document. */
export const UnknownCheckError = createError<[group: string, name: string]>(
  'HOLDFAST_ERR_HEALTH_UNKNOWN_CHECK',
  'group "%s" has no check named "%s"',
  404,
)

/** `/health/groups/<group>`: no check belongs to such a group. Answered as a problem document. */
export const UnknownGroupError = createError<[name: string]>(
  'HOLDFAST_ERR_HEALTH_UNKNOWN_GROUP',
  'there is no group named "%s"',
  404,
)

/** A detailed page was asked for without any credentials. Answered as a problem document. */
export const UnauthenticatedError = createError(
  'HOLDFAST_ERR_HEALTH_UNAUTHENTICATED',
  'this page is for authorised callers only; send credentials',
  401,
)

/** A detailed page was asked for by a caller whom `authorize` does not accept. Answered as a problem document. */
export const ForbiddenError = createError(
  'HOLDFAST_ERR_HEALTH_FORBIDDEN',
  'this page is for authorised callers only',
  403,
)
