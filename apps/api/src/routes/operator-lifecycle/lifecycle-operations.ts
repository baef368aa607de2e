// How the routes are described.

import type { FastifySchema } from 'fastify'
import { ApiStoppingError, ApiUnauthorizedError } from '../../errors.ts'
import { COUNT, listOf, objectOf, objectOrNull, TEXT } from '../../openapi/members.ts'

const INSTANCE = objectOf(
  {
    state: { type: 'string', enum: ['starting', 'serving', 'cordoned', 'draining', 'closing', 'ended'] },
    cordon: objectOrNull({ reason: TEXT, for_ms: COUNT }),
    started_in_ms: {
      type: ['number', 'null'],
      description: 'From the start of the process until it served.',
    },
    phases: listOf(
      objectOf({
        phase: {
          type: 'string',
          enum: ['config', 'checks', 'connect', 'migrations', 'warm', 'health', 'listen', 'ready'],
        },
        duration_ms: COUNT,
        outcome: { type: 'string', enum: ['running', 'done', 'late', 'failed'] },
      }),
    ),
    connections: COUNT,
    requests_in_flight: COUNT,
  },
  { description: 'What the instance that answers is at.' },
)

export const LIFECYCLE_SCHEMAS = {
  look: {
    operationId: 'readLifecycle',
    summary: 'What the instance that answers is at',
    problems: [ApiUnauthorizedError],
    response: { 200: INSTANCE },
  },
  cordon: {
    operationId: 'cordonInstance',
    summary: 'Takes the instance that answers out of rotation',
    description: 'It serves whoever asks, and its readiness says that nobody should.',
    body: {
      type: 'object',
      required: ['reason'],
      additionalProperties: false,
      properties: { reason: { type: 'string', minLength: 1, maxLength: 200 } },
    },
    problems: [ApiUnauthorizedError, ApiStoppingError],
    response: { 200: INSTANCE },
  },
  uncordon: {
    operationId: 'uncordonInstance',
    summary: 'Puts the instance that answers into rotation again',
    problems: [ApiUnauthorizedError],
    response: { 200: INSTANCE },
  },
} as const satisfies Readonly<Record<string, FastifySchema>>
