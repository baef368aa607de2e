import createError from '@fastify/error'

const codes = 'HOLDFAST_ERR_TENANT_RATE_LIMIT'

/** An option has a value this package cannot work with. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_OPTION`,
  'tenant-rate-limit option "%s" must be %s, received %s',
  500,
)

/** A policy cannot be compiled. */
export const PolicyError = createError<[policy: string, problem: string]>(
  `${codes}_POLICY`,
  'rate limit policy "%s": %s',
  500,
)

/** A cost is not a whole number of at least 0. */
export const CostError = createError<[policy: string, received: string]>(
  `${codes}_COST`,
  'the cost of a request for the policy "%s" must be a whole number of at least 0, received %s',
  500,
)

/** A request draws on no bucket, or on too many. */
export const ClaimsError = createError<[received: number]>(
  `${codes}_CLAIMS`,
  'a request draws on 1 to 16 buckets, received %d',
  500,
)

/** A route names a policy, or a group, that does not exist. Raised when the route is registered, and by `update`. */
export const UnknownPolicyError = createError<[where: string, policy: string]>(
  `${codes}_UNKNOWN_POLICY`,
  '%s names the policy "%s", which does not exist',
  500,
)

/** The limits of a route contradict each other. Raised when the route is registered, and by `update`. */
export const RuleError = createError<[where: string, problem: string]>(`${codes}_RULE`, '%s: %s', 500)

/** A function that names a tenant, a user or a key answered something else than a text. */
export const KeyError = createError<[option: string, received: string]>(
  `${codes}_KEY`,
  'the function "%s" must answer a text, or nothing; it answered %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. Raised at registration. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'tenant-rate-limit is registered already, here or in a scope around this one; use its app.tenantRateLimit',
  500,
)
