// Of @holdfast/metrics and @holdfast/logging.

import type { FastifySchema } from 'fastify'
import { MOMENT_OR_NULL, objectOf } from '../members.ts'

const LEVEL = {
  type: 'string',
  enum: ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'],
} as const

const METRICS_ERRORS = [
  {
    status: 401,
    code: 'HOLDFAST_ERR_METRICS_UNAUTHENTICATED',
    detail: 'metrics are for authorised callers only; send other credentials',
  },
] as const
const LOG_ERRORS = [
  {
    status: 401,
    code: 'HOLDFAST_ERR_LOGGING_UNAUTHENTICATED',
    detail: 'nobody is known who may see the level of the log',
  },
  {
    status: 403,
    code: 'HOLDFAST_ERR_LOGGING_FORBIDDEN',
    detail: 'whoever asks may not see the level of the log',
  },
] as const
const WRONG_LEVEL = {
  status: 400,
  code: 'HOLDFAST_ERR_LOGGING_LEVEL',
  detail: 'there is no such level, or it would last for too long',
} as const

const LOG_LEVEL = objectOf(
  { level: LEVEL, configured: LEVEL, until: MOMENT_OR_NULL },
  { description: 'The level in force, the one that comes back, and when.' },
)
const CONFIGURED = { level: 'info', configured: 'info', until: null }

/** By `METHOD /path`. */
export const metricsAndLogOperations: Readonly<Record<string, FastifySchema>> = {
  'GET /metrics': {
    summary: 'Metrics for Prometheus',
    description:
      'With `ENABLE_METRICS=true`, for `METRICS_TOKEN` or an administrator. OpenMetrics where `Accept` asks for it.',
    problems: METRICS_ERRORS,
    response: {
      200: {
        description: 'All series of this instance.',
        content: {
          'text/plain': { schema: { type: 'string' } },
          'application/openmetrics-text': { schema: { type: 'string' } },
        },
      },
    },
  },
  'GET /admin/log-level': {
    summary: 'The level of the log of the process that answers',
    problems: LOG_ERRORS,
    response: { 200: LOG_LEVEL },
    examples: [{ name: 'as_configured', summary: 'Nobody has changed it', status: 200, answer: CONFIGURED }],
  },
  'PUT /admin/log-level': {
    summary: 'Changes the level of the log for a while',
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['level'],
      properties: {
        level: LEVEL,
        for_seconds: { type: 'integer', minimum: 1, maximum: 86_400, default: 900 },
      },
    },
    problems: [WRONG_LEVEL, ...LOG_ERRORS],
    response: { 200: LOG_LEVEL },
    examples: [
      {
        name: 'louder_for_a_minute',
        summary: 'Whoever looks for something sees more',
        body: { level: 'debug', for_seconds: 60 },
        status: 200,
        answer: { level: 'debug', configured: 'info', until: '2026-11-22T12:01:00.000Z' },
      },
    ],
  },
  'DELETE /admin/log-level': {
    summary: 'Brings the configured level back',
    problems: LOG_ERRORS,
    response: { 200: LOG_LEVEL },
    examples: [{ name: 'back', summary: 'As configured again', status: 200, answer: CONFIGURED }],
  },
}
