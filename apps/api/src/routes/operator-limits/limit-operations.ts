// How the routes are described. What a change may be is read by the function that reads the settings, whose words say
// more than those of a schema: there is none for the body here but for readers.

import type { FastifySchema } from 'fastify'
import { ApiLimitsInvalidError, ApiLimitsUnavailableError, ApiUnauthorizedError } from '../../errors.ts'
import { LIMIT_NAMES, TENANT_LIMIT_NAMES } from '../../limits.ts'
import { FLAG, MOMENT_OR_NULL, mapOf, objectOf } from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'

const LIMIT = { type: 'string', description: '`60/minute`, or `100 per 60s burst 100 refill 2/s`.' } as const

function limitsOf(names: readonly string[], optional: boolean) {
  const members = Object.fromEntries(names.map((name) => [name, LIMIT]))
  return objectOf(members, optional ? { optional: names } : {})
}

const OVERRIDES = {
  ...mapOf(limitsOf(TENANT_LIMIT_NAMES, true)),
  description: 'By tenant: what it has instead.',
} as const

const CHANGE = {
  limits: limitsOf(LIMIT_NAMES, true),
  overrides: OVERRIDES,
}

const IN_FORCE = objectOf(
  {
    limits: limitsOf(LIMIT_NAMES, false),
    overrides: OVERRIDES,
    change: { ...objectOf(CHANGE), type: ['object', 'null'], description: 'What an operator has set.' },
    changed_at: MOMENT_OR_NULL,
    shared: { ...FLAG, description: 'Whether other processes keep to it, too.' },
  },
  { description: 'What is in force.' },
)

const WHO = [ApiUnauthorizedError] as const

export const LIMIT_SCHEMAS = {
  look: {
    operationId: 'readLimits',
    summary: 'The limits in force',
    problems: WHO,
    response: { 200: IN_FORCE },
  },
  change: {
    operationId: 'changeLimits',
    summary: 'Sets limits in place of those of the settings',
    description: 'For all processes. What it does not name is as the settings say.',
    bodyForReaders: { type: 'object', additionalProperties: false, properties: CHANGE },
    problems: [ApiLimitsInvalidError, ApiLimitsUnavailableError, ...WHO],
    response: { 200: IN_FORCE },
    examples: [
      {
        name: 'too_little',
        summary: 'What is no limit',
        body: { limits: { status: 'a few' } },
        status: 400,
        answer: problemExample(
          400,
          'HOLDFAST_ERR_API_LIMITS_INVALID',
          'the body has for status in "limits" "a few", which is not a limit. Write 10/minute, or 100 per 60s burst 100 refill 2/s.',
        ),
      },
    ],
  },
  reset: {
    operationId: 'resetLimits',
    summary: 'Goes back to the limits of the settings',
    problems: [ApiLimitsUnavailableError, ...WHO],
    response: { 200: IN_FORCE },
  },
} as const satisfies Readonly<Record<string, FastifySchema>>
