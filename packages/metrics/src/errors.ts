import createError from '@fastify/error'

/** An option of `register()` cannot be used. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_METRICS_OPTION',
  'metrics option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. Raised at registration. */
export const AlreadyRegisteredError = createError<[]>(
  'HOLDFAST_ERR_METRICS_ALREADY_REGISTERED',
  'metrics is registered already, here or in a scope around this one; use its app.metrics',
  500,
)

/** A metric cannot be made as described. Raised by `counter()`, `gauge()` and `histogram()`. */
export const DefinitionError = createError<
  [metric: string, member: string, expected: string, received: string]
>('HOLDFAST_ERR_METRICS_DEFINITION', 'metric %s: "%s" must be %s, received %s', 500)

/** The registry has a metric of that name. */
export const DuplicateError = createError<[name: string]>(
  'HOLDFAST_ERR_METRICS_DUPLICATE',
  'there is a metric named "%s" already; make it once and hand it on',
  500,
)

/** The metrics were asked for without credentials that `token` or `authorize` accepts. */
export const UnauthenticatedError = createError<[]>(
  'HOLDFAST_ERR_METRICS_UNAUTHENTICATED',
  'metrics are for authorised callers only; send other credentials',
  401,
)

/** The metrics were asked for where nobody may read them: there is neither a `token` nor an `authorize`. */
export const ForbiddenError = createError<[]>(
  'HOLDFAST_ERR_METRICS_FORBIDDEN',
  'nobody may read the metrics here; give the plugin a token or authorize',
  403,
)

/** The primary of a cluster did not tell the metrics of all its workers in time. */
export const PrimarySilentError = createError<[budgetMs: number]>(
  'HOLDFAST_ERR_METRICS_PRIMARY_SILENT',
  'the primary of the cluster has not answered within %d ms; it has to call collectCluster()',
  503,
)
