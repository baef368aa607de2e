// What is wrong with the input, in words that name the member. Reads what a JSON schema validator (Ajv) reports.

const MAX_ISSUES = 20
const MAX_NAME = 100

/** One thing that is wrong with what was sent. */
export interface Issue {
  /** Which part of the request. */
  readonly in: 'body' | 'query' | 'path' | 'headers'
  /** Which member of it, as a JSON Pointer in the form of a URI fragment (RFC 6901, 6): `#/bots/0/id`. */
  readonly pointer: string
  readonly detail: string
}

/** What Ajv says about one member; the part of it that is read here. */
export interface SchemaViolation {
  readonly instancePath?: string
  readonly message?: string
  readonly params?: Readonly<Record<string, unknown>>
}

/** For Fastify's `schemaErrorFormatter`: one sentence about the first violation. */
export function describeInvalid([first]: readonly SchemaViolation[], where: string): Error {
  const { instancePath = '' } = first ?? {}
  const name = instancePath.slice(1, MAX_NAME).replaceAll('/', '.')
  const subject = name === '' ? `the ${where === 'querystring' ? 'query' : where}` : name
  return new Error(`${subject} ${reasonOf(first ?? {})}`)
}

/** All violations, at most 20, for programs. */
export function issuesOf(
  violations: readonly SchemaViolation[],
  where: string | undefined,
): readonly Issue[] {
  const part = PARTS.get(where) ?? 'body'
  return violations.slice(0, MAX_ISSUES).map((violation) => ({
    in: part,
    pointer: `#${encodeURI((violation.instancePath ?? '').slice(0, MAX_NAME).toWellFormed())}`,
    detail: reasonOf(violation),
  }))
}

const PARTS: ReadonlyMap<string | undefined, Issue['in']> = new Map([
  ['querystring', 'query'],
  ['params', 'path'],
  ['headers', 'headers'],
])

function reasonOf({ message = 'is wrong', params = {} }: SchemaViolation): string {
  const { allowedValues, additionalProperty } = params
  if (Array.isArray(allowedValues)) return `must be one of ${allowedValues.join(', ')}`
  if (typeof additionalProperty === 'string') {
    return `must not have ${JSON.stringify(additionalProperty.slice(0, MAX_NAME))}`
  }
  return message
}
