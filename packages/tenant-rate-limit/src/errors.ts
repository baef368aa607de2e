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
