// The one form of every refusal (RFC 9457), as the document names it. It is never compiled: what writes problem
// documents writes text.

import { listOf, MOMENT_OR_NULL, objectOf, TEXT } from './members.ts'

const PLACE = { type: 'integer', minimum: 1 } as const

export const PROBLEM_TYPE = 'application/problem+json'

/** The component `Problem`. */
export const PROBLEM = {
  ...objectOf(
    {
      type: {
        type: 'string',
        description:
          '`about:blank`, or one of the types that are registered for limits; programs read `error` instead.',
      },
      title: { type: 'string', description: "HTTP's own name of the status." },
      status: { type: 'integer', minimum: 400, maximum: 599 },
      detail: { type: 'string', description: 'One or two sentences for people.' },
      error: {
        type: 'string',
        description: 'Stable and made for programs.',
        pattern: '^[A-Za-z0-9_.-]{1,80}$',
      },
      correlation_id: {
        type: 'string',
        description:
          'By which the log knows the request. Answers that are the same text for everybody (limits, blocks, probes) leave it out; the header `X-Correlation-ID` always says it.',
      },
      retry_after: {
        type: 'integer',
        minimum: 1,
        description: 'Seconds until a new try makes sense; the same as the header `Retry-After`.',
      },
      errors: {
        ...listOf(
          objectOf(
            {
              in: { type: 'string', enum: ['body', 'query', 'path', 'headers'] },
              pointer: {
                type: 'string',
                description: 'Which member, as the fragment of a URI (RFC 6901, 6).',
              },
              detail: TEXT,
              line: { ...PLACE, description: 'Of a text that people write: where in it, from 1.' },
              column: PLACE,
            },
            { optional: ['line', 'column'] },
          ),
        ),
        description: 'What is wrong with the input, member by member; at most 20.',
      },
      'violated-policies': { ...listOf(TEXT), description: 'Which limits are reached.' },
      message: { type: 'string', description: 'During maintenance the same as `detail`.' },
      maintenance: objectOf(
        {
          mode: { type: 'string', enum: ['block', 'read-only', 'drain-writes'] },
          from: MOMENT_OR_NULL,
          until: MOMENT_OR_NULL,
        },
        { description: 'What is closed, and for how long.' },
      ),
    },
    {
      optional: ['correlation_id', 'retry_after', 'errors', 'violated-policies', 'message', 'maintenance'],
      description:
        'Why there is no answer of the kind that was asked for (RFC 9457). Browsers, which prefer `text/html`, get a page instead.',
    },
  ),
  examples: [
    {
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      detail: 'there is no such bot',
      error: 'HOLDFAST_ERR_API_BOT_UNKNOWN',
      correlation_id: '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d',
    },
  ],
} as const
