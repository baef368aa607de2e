// How the route is described.

import type { FastifySchema } from 'fastify'
import { ApiUnauthorizedError } from '../../errors.ts'
import { COUNT, listOf, MOMENT, objectOf, TEXT } from '../../openapi/members.ts'

const VERDICT = { type: 'string', enum: ['pass', 'warn', 'fail'] } as const

export const DEPLOYMENT_SCHEMA: FastifySchema = {
  operationId: 'checkDeployment',
  summary: 'What the command `check` says, of the instance that answers',
  description: 'One report is good for five seconds, whoever asks.',
  problems: [ApiUnauthorizedError],
  response: {
    200: objectOf(
      {
        status: VERDICT,
        timestamp: MOMENT,
        duration_ms: COUNT,
        summary: objectOf({ total: COUNT, pass: COUNT, warn: COUNT, fail: COUNT }),
        checks: listOf(
          objectOf({
            name: TEXT,
            status: VERDICT,
            duration_ms: COUNT,
            findings: listOf(
              objectOf(
                {
                  status: VERDICT,
                  rule: { ...TEXT, description: 'What it is called, for programs: texts change.' },
                  message: { ...TEXT, description: 'What is so.' },
                  hint: { ...TEXT, description: 'What to do about it.' },
                  data: {
                    type: 'object',
                    additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
                    description: 'What it was measured by.',
                  },
                },
                { optional: ['rule', 'hint', 'data'] },
              ),
            ),
          }),
        ),
      },
      { description: 'A report. It holds no secret.' },
    ),
  },
}
