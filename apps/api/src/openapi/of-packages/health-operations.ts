// Of @holdfast/health: probes, summaries, and the pages of operators.

import type { FastifySchema } from 'fastify'
import { COUNT, DURATION, FLAG, listOf, MOMENT, mapOf, objectOf, TEXT } from '../members.ts'
import type { Example } from '../operation.ts'

const STATUS = { type: 'string', enum: ['ok', 'degraded', 'error'] } as const
const PHASE = { type: 'string', enum: ['starting', 'serving', 'cordoned', 'draining'] } as const

const CHECK = objectOf(
  {
    status: { type: 'string', enum: ['healthy', 'degraded', 'unhealthy', 'starting', 'unknown'] },
    severity: { type: 'string', enum: ['critical', 'degrading', 'informative'] },
    groups: listOf(TEXT),
    response_ms: DURATION,
    checked_at: MOMENT,
    last_outcome: { type: 'string', enum: ['healthy', 'degraded', 'unhealthy'] },
    cause: { type: 'string', enum: ['none', 'slow', 'reported', 'error', 'timeout', 'hung'] },
    code: TEXT,
    reason: TEXT,
    data: { description: 'What the check measured.' },
    busy: { ...FLAG, description: 'Whether an execution has not ended.' },
    executions: COUNT,
    changes: { ...COUNT, description: 'How often the status changed.' },
  },
  {
    optional: [
      'severity',
      'groups',
      'response_ms',
      'checked_at',
      'last_outcome',
      'cause',
      'code',
      'reason',
      'data',
      'busy',
      'executions',
      'changes',
    ],
    description: 'All but `status` to operators alone.',
  },
)

const FEATURE = objectOf(
  { status: { type: 'string', enum: ['degraded'] }, reason: TEXT, since: MOMENT, until: MOMENT },
  { optional: ['reason', 'since', 'until'] },
)

const PROBE_MEMBERS = {
  status: STATUS,
  timestamp: MOMENT,
  phase: PHASE,
  checks: mapOf(CHECK),
  excluded: listOf(TEXT),
  warnings: listOf(TEXT),
}
const PROBE = objectOf(PROBE_MEMBERS, {
  optional: ['phase', 'checks', 'excluded', 'warnings'],
  description: 'A `phase` only where it is not `serving`.',
})

const SUMMARY_MEMBERS = {
  ...PROBE_MEMBERS,
  level: { type: 'string', enum: ['healthy', 'degraded', 'unhealthy'] },
  service: TEXT,
  version: TEXT,
  features: { ...mapOf(FEATURE), description: 'Features that do less than they should.' },
}
const SUMMARY = objectOf(SUMMARY_MEMBERS, { optional: ['excluded', 'warnings'] })
const REPORTS = {
  type: 'object',
  additionalProperties: true,
  description: 'What each part of the service tells of itself, by its name.',
} as const
const CHECKS = objectOf({ ...SUMMARY_MEMBERS, reports: REPORTS }, { optional: ['excluded', 'warnings'] })
const PAGE = objectOf({ timestamp: MOMENT, reports: REPORTS })

const QUERY = {
  type: 'object',
  properties: {
    verbose: { type: 'string', description: 'Present: with the checks; their details to operators alone.' },
    exclude: { type: 'string', description: 'Checks that do not count, by name, with commas between.' },
  },
} as const

function content(schema: object, description: string) {
  return {
    description,
    content: {
      'application/json': { schema },
      'application/health+json': {
        schema: {
          type: 'object',
          description: 'As draft-inadarei-api-health-check-06 has it.',
          additionalProperties: true,
        },
      },
      'text/plain': { schema: { type: 'string' } },
    },
  }
}

function probe(summary: string, schema: object, examples: readonly Example[]): FastifySchema {
  return {
    summary,
    querystring: QUERY,
    response: {
      200: content(schema, 'It is, or is but for what may fail.'),
      503: content(schema, 'It is not.'),
    },
    examples,
  }
}

function oneCheck(summary: string, group: string): FastifySchema {
  const answer = problem(
    404,
    'HOLDFAST_ERR_HEALTH_UNKNOWN_CHECK',
    `group "${group}" has no check named "nothing"`,
  )
  return {
    ...probe(summary, PROBE, [
      {
        name: 'no_such_check',
        summary: 'A check that there is not',
        parameters: { check: 'nothing' },
        status: 404,
        answer,
      },
    ]),
    params: nameParam('check'),
    problems: [
      { status: 404, code: 'HOLDFAST_ERR_HEALTH_UNKNOWN_CHECK', detail: 'there is no check of that name' },
    ],
  }
}

function nameParam(name: string) {
  return { type: 'object', required: [name], properties: { [name]: TEXT } } as const
}

/** These documents have no id: the header of the answer says it. */
function problem(status: 401 | 404, error: string, detail: string) {
  return { type: 'about:blank', title: status === 401 ? 'Unauthorized' : 'Not Found', status, error, detail }
}

const UNAUTHENTICATED = {
  status: 401,
  code: 'HOLDFAST_ERR_HEALTH_UNAUTHENTICATED',
  detail: 'this page is for authorised callers only; send credentials',
} as const
const FORBIDDEN = {
  status: 403,
  code: 'HOLDFAST_ERR_HEALTH_FORBIDDEN',
  detail: 'this page is for authorised callers only',
} as const

function guarded(summary: string, schema: object): FastifySchema {
  const { status, code, detail } = UNAUTHENTICATED
  return {
    summary,
    description: 'For `METRICS_TOKEN`, or an administrator.',
    problems: [UNAUTHENTICATED, FORBIDDEN],
    response: { 200: { ...schema, description: 'What it knows.' } },
    examples: [
      {
        name: 'without_credentials',
        summary: 'Nobody is known',
        as: 'nobody',
        status,
        answer: problem(status, code, detail),
      },
    ],
  }
}

const NOW = '2026-11-22T12:00:00.000Z'
const ok = (name: string, answer: object): Example => ({ name, summary: 'All is well', status: 200, answer })
const LIVE = [ok('alive', { status: 'ok', timestamp: NOW })]
const READY = [ok('ready', { status: 'ok', timestamp: NOW, checks: { database: { status: 'healthy' } } })]
const STARTED = [ok('started', { status: 'ok', timestamp: NOW, checks: {} })]
const SUMMED_UP = [
  ok('well', {
    status: 'ok',
    level: 'healthy',
    timestamp: NOW,
    service: 'holdfast-api',
    version: '0.0.0',
    phase: 'serving',
    checks: { database: { status: 'healthy' }, themes: { status: 'healthy' } },
    features: {},
  }),
]

/** By `METHOD /path`. */
export const healthOperations: Readonly<Record<string, FastifySchema>> = {
  'GET /healthz': {
    summary: 'Whether the process answers',
    description: 'Asks nobody. The cheapest of the probes.',
    response: {
      200: objectOf(
        { status: { type: 'string', enum: ['ok'] }, version: TEXT, timestamp: MOMENT, service: TEXT },
        { description: 'It does.' },
      ),
    },
    examples: [ok('alive', { status: 'ok', version: '0.0.0', timestamp: NOW, service: 'holdfast-api' })],
  },
  'GET /livez': probe('Whether the process should go on', PROBE, LIVE),
  'GET /live': probe('The same as /livez', PROBE, LIVE),
  'GET /health/live': probe('The same as /livez', PROBE, LIVE),
  'GET /livez/:check': oneCheck('One check of /livez', 'live'),
  'GET /readyz': probe('Whether requests should be sent here', PROBE, READY),
  'GET /ready': probe('The same as /readyz', PROBE, READY),
  'GET /health/ready': probe('The same as /readyz', PROBE, READY),
  'GET /readyz/:check': oneCheck('One check of /readyz', 'ready'),
  'GET /startupz': probe('Whether the start is over', PROBE, STARTED),
  'GET /startupz/:check': oneCheck('One check of /startupz', 'startup'),
  'GET /health': probe('All checks, and features that are degraded', SUMMARY, SUMMED_UP),
  'GET /health/summary': probe('The same as /health', SUMMARY, SUMMED_UP),
  'GET /health/groups/:group': {
    ...probe('The checks of one group', PROBE, [
      {
        name: 'no_such_group',
        summary: 'A group that there is not',
        parameters: { group: 'nothing' },
        status: 404,
        answer: problem(404, 'HOLDFAST_ERR_HEALTH_UNKNOWN_GROUP', 'there is no group named "nothing"'),
      },
    ]),
    params: nameParam('group'),
    problems: [
      { status: 404, code: 'HOLDFAST_ERR_HEALTH_UNKNOWN_GROUP', detail: 'there is no group of that name' },
    ],
  },
  'GET /health/check': guarded('All checks in full', CHECKS),
  'GET /health/detailed': guarded('The same as /health/check', CHECKS),
  'GET /health/metrics': guarded('Times and counts of operations', PAGE),
  'GET /health/security': guarded('What was blocked, limited and refused', PAGE),
}
