import createError from '@fastify/error'

const codes = 'HOLDFAST_ERR_ABUSE_GUARD'

/** An option has a value this package cannot work with. Raised at registration. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_OPTION`,
  'abuse-guard option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'abuse-guard is registered already, here or in a scope around this one; use its app.abuseGuard',
  500,
)

/** The client is blocked. Answered, before the body is read. */
export const BlockedError = createError<[]>(
  `${codes}_BLOCKED`,
  'too many requests came from this address; it is blocked for a while',
  429,
)

/** What was given is no address, and no IPv6 network of 48, 56 or 64 bits. */
export const AddressError = createError<[received: string]>(
  `${codes}_ADDRESS`,
  'an address must be like 192.0.2.1, 2001:db8::1 or 2001:db8:1:2::/64 (48, 56 or 64 bits), received %s',
  400,
)

/** What was given for a block, a flag or a page is of no use. */
export const InputError = createError<[what: string, expected: string, received: string]>(
  `${codes}_INPUT`,
  '"%s" must be %s, received %s',
  400,
)

/** The address is in the list of those that are never blocked. */
export const AllowedError = createError<[address: string]>(
  `${codes}_ALLOWED`,
  '%s is in "allow", or holds an address that is; it is never blocked',
  409,
)

/** There is no such block or flag. */
export const UnknownError = createError<[what: string]>(`${codes}_UNKNOWN`, 'there is no %s', 404)

/** An operator's page was asked for without any credentials. */
export const UnauthenticatedError = createError<[]>(
  `${codes}_UNAUTHENTICATED`,
  'this page is for authorised callers only; send credentials',
  401,
)

/** An operator's page was asked for by somebody whom `authorize` does not accept. */
export const ForbiddenError = createError<[]>(
  `${codes}_FORBIDDEN`,
  'this page is for authorised callers only',
  403,
)
