// What is wrong with the input, in words that name the member. Reads what a JSON schema validator (Ajv) reports, and
// anything else that an application takes in its place.

import { oneLine } from './one-line.ts'

const MAX_ISSUES = 20
const MAX_NAME = 100

/** One thing that is wrong with what was sent. */
export interface Issue {
  /** Which part of the request. */
  readonly in: 'body' | 'query' | 'path' | 'headers'
  /** Which member of it, as a JSON Pointer in the form of a URI fragment (RFC 6901, 6): `#/bots/0/id`. */
  readonly pointer: string
  readonly detail: string
  /** Where in the text of that member, from 1; where it is a text that people write. */
  readonly line?: number
  readonly column?: number
}

/** What Ajv says about one member; the part of it that is read here. */
export interface SchemaViolation {
  readonly instancePath?: string
  readonly message?: string
  readonly params?: Readonly<Record<string, unknown>>
}

/** For Fastify's `schemaErrorFormatter`: one sentence about the first violation. */
export function describeInvalid(violations: unknown, where: string): Error {
  const first = violationOf(Array.isArray(violations) ? violations[0] : undefined)
  const name = pathOf(first).slice(1).replaceAll('/', '.')
  const subject = name === '' ? `the ${where === 'querystring' ? 'query' : where}` : name
  return new Error(`${subject} ${reasonOf(first)}`)
}

/** All violations, at most 20, for programs. */
export function issuesOf(violations: readonly unknown[], where: unknown): readonly Issue[] {
  const part = PARTS.get(where) ?? 'body'
  return violations.slice(0, MAX_ISSUES).map((given) => {
    const violation = violationOf(given)
    return {
      in: part,
      pointer: `#${encodeURI(pathOf(violation).toWellFormed())}`,
      detail: reasonOf(violation),
    }
  })
}

/** What the application has found itself, at most 20; only what is an `Issue`, and of that nothing else. */
export function knownIssues(given: readonly unknown[]): readonly Issue[] {
  return given
    .filter(isIssue)
    .slice(0, MAX_ISSUES)
    .map(({ in: part, pointer, detail, line, column }) => ({
      in: part,
      pointer: oneLine(pointer),
      detail: oneLine(detail),
      ...(isPlace(line) && { line }),
      ...(isPlace(column) && { column }),
    }))
}

function isPlace(given: unknown): given is number {
  return Number.isSafeInteger(given) && Number(given) >= 1
}

const PARTS: ReadonlyMap<unknown, Issue['in']> = new Map([
  ['querystring', 'query'],
  ['params', 'path'],
  ['headers', 'headers'],
])
const PLACES: ReadonlySet<unknown> = new Set(['body', 'query', 'path', 'headers'] satisfies Issue['in'][])

function isIssue(given: unknown): given is Issue {
  const { in: part, pointer, detail } = Object(given) as Partial<Issue>
  return PLACES.has(part) && typeof pointer === 'string' && typeof detail === 'string'
}

/** Other validators than Ajv have other words, and some have texts alone. */
function violationOf(given: unknown): SchemaViolation {
  return typeof given === 'object' && given !== null ? given : {}
}

function pathOf({ instancePath }: SchemaViolation): string {
  return typeof instancePath === 'string' ? instancePath.slice(0, MAX_NAME) : ''
}

function reasonOf({ message, params }: SchemaViolation): string {
  const { allowedValues, additionalProperty } = Object(params) as NonNullable<SchemaViolation['params']>
  if (Array.isArray(allowedValues)) return `must be one of ${allowedValues.join(', ')}`
  if (typeof additionalProperty === 'string') {
    return `must not have ${JSON.stringify(additionalProperty.slice(0, MAX_NAME))}`
  }
  return typeof message === 'string' ? message : 'is wrong'
}
