// Of @holdfast/maintenance: what is closed, the banner, and ways past it.

import { errors } from '@holdfast/maintenance'
import type { FastifySchema } from 'fastify'
import {
  COUNT,
  FLAG,
  listOf,
  MOMENT,
  MOMENT_OR_NULL,
  nothing,
  objectOf,
  objectOrNull,
  pageOf,
  TEXT,
  TEXT_OR_NULL,
} from '../members.ts'
import { STAND_INS } from '../stand-ins.ts'

const MODE = {
  type: 'string',
  enum: ['block', 'read-only', 'drain-writes', 'banner-only'],
  description:
    '`block`: nothing passes. `read-only`: what changes something is refused. `drain-writes`: the same, and it is known when the last change has ended. `banner-only`: everything passes.',
} as const
/** As it is shown. */
const BANNER_MESSAGE = { type: 'string', description: 'Empty: there is none.' } as const
const SEVERITY = { type: 'string', enum: ['info', 'warning', 'critical'] } as const
const LINE = { type: 'string', minLength: 1, maxLength: 500 } as const
const NAME = { type: 'string', pattern: '^[A-Za-z0-9][\\w.:-]{0,63}$' } as const
const GIVEN_MOMENT = { ...MOMENT, description: 'RFC 3339, with a time zone.' } as const
const VERSION = {
  ...COUNT,
  description: 'The version that whoever asks has seen; another one in force is a 409.',
} as const

const SCOPE = {
  type: 'object',
  properties: { group: NAME, tenant: NAME },
  description: 'A group of routes, a tenant, or one in the other; neither: everything.',
} as const

const RULE_MEMBERS = {
  id: NAME,
  scope: SCOPE,
  mode: MODE,
  methods: { type: ['array', 'null'], items: TEXT },
  from: MOMENT_OR_NULL,
  until: MOMENT_OR_NULL,
  message: TEXT_OR_NULL,
  reason: TEXT_OR_NULL,
  allow: objectOf({ roles: listOf(TEXT), addresses: listOf(TEXT), paths: listOf(TEXT) }),
  announce_ms: COUNT,
  retry_after_ms: { type: ['integer', 'null'] },
}
const RULE = objectOf(RULE_MEMBERS)
const RULE_WITH_STATE = objectOf({
  ...RULE_MEMBERS,
  state: { type: 'string', enum: ['scheduled', 'active', 'ended'] },
})

const GIVEN_RULE = {
  scope: {
    description: 'Default: everything.',
    anyOf: [
      { type: 'string', enum: ['all'] },
      { ...SCOPE, additionalProperties: false },
    ],
  },
  mode: { ...MODE, default: 'block' },
  methods: { type: 'array', items: TEXT, minItems: 1, maxItems: 20 },
  from: GIVEN_MOMENT,
  until: GIVEN_MOMENT,
  message: LINE,
  reason: LINE,
  allow: {
    type: 'object',
    additionalProperties: false,
    properties: {
      roles: { type: 'array', items: TEXT, maxItems: 100, default: ['admin'] },
      addresses: { type: 'array', items: TEXT, maxItems: 100 },
      paths: { type: 'array', items: TEXT, maxItems: 100 },
    },
  },
  announce_ms: { ...COUNT, default: 900_000 },
  retry_after_ms: { type: 'integer', minimum: 1000 },
  version: VERSION,
}

const CHANGE_MEMBERS = {
  maintenance_enabled: FLAG,
  banner_message: BANNER_MESSAGE,
  version: { ...COUNT, description: 'Of the state that it led to.' },
  recorded: { type: ['boolean', 'null'], description: 'Whether it stands in the history already.' },
}
const CHANGE = objectOf(CHANGE_MEMBERS, { description: 'What is in force now.' })
const SET = objectOf(
  {
    ...CHANGE_MEMBERS,
    rule: RULE,
    warning: { ...TEXT_OR_NULL, description: 'What looks like a mistake without being one for certain.' },
  },
  { description: 'The rule is in force.' },
)

const WHO = [errors.UnauthenticatedError, errors.ForbiddenError] as const
const CHANGING = [errors.RuleError, errors.ConflictError, errors.UnavailableError, ...WHO] as const

const bodyOf = (properties: Readonly<Record<string, object>>, required: readonly string[] = []) =>
  ({ type: 'object', additionalProperties: false, required, properties }) as const
const NOTE = { reason: LINE, version: VERSION }
const NOTE_QUERY = { type: 'object', additionalProperties: false, properties: NOTE } as const
const RULE_ID = { type: 'object', required: ['id'], properties: { id: NAME } } as const

const STATUS_MEMBERS = { maintenance_enabled: FLAG, banner_message: BANNER_MESSAGE }
const SHOWN_BANNER = { message: TEXT, severity: SEVERITY, from: MOMENT_OR_NULL, until: MOMENT_OR_NULL }
const NOTHING_CLOSED = { maintenance_enabled: false, banner_message: '' }
const CHANGED = { ...NOTHING_CLOSED, version: 1_763_812_800_000, recorded: true }
const THE_RULE = {
  scope: { group: 'bots' },
  mode: 'block',
  methods: null,
  from: '2099-01-01T02:00:00.000Z',
  until: '2099-01-01T04:00:00.000Z',
  message: 'Bots rest while the database moves.',
  reason: 'the database moves',
  allow: { roles: ['admin'], addresses: [], paths: [] },
  announce_ms: 900_000,
  retry_after_ms: null,
}

/** By `METHOD /path`. */
export const maintenanceOperations: Readonly<Record<string, FastifySchema>> = {
  'GET /api/status': {
    summary: 'Whether something is closed, and the banner',
    description: 'Asks nobody: always there.',
    response: {
      200: objectOf(STATUS_MEMBERS, { description: 'As it is now.' }),
      304: nothing('As `If-None-Match` says it is known.'),
    },
    examples: [{ name: 'open', summary: 'Nothing is closed', status: 200, answer: NOTHING_CLOSED }],
  },
  'GET /api/status/maintenance': {
    summary: 'What is closed, what will be, and the banner in full',
    response: {
      200: objectOf(
        {
          ...STATUS_MEMBERS,
          banner: objectOrNull({
            ...SHOWN_BANNER,
            origin: { type: 'string', enum: ['banner', 'announcement', 'maintenance'] },
          }),
          maintenance: listOf(
            objectOf({
              mode: MODE,
              group: TEXT_OR_NULL,
              message: TEXT_OR_NULL,
              active: FLAG,
              from: MOMENT_OR_NULL,
              until: MOMENT_OR_NULL,
            }),
          ),
        },
        { description: 'What concerns one tenant alone is told to nobody else.' },
      ),
      304: nothing('As `If-None-Match` says it is known.'),
    },
    examples: [
      {
        name: 'open',
        summary: 'Nothing is closed',
        status: 200,
        answer: { ...NOTHING_CLOSED, banner: null, maintenance: [] },
      },
    ],
  },
  'POST /api/status/maintenance/bypass': {
    summary: 'Gives a browser a way past maintenance',
    description: 'With a token that an operator has given out. It becomes a cookie.',
    body: bodyOf({ token: TEXT }, ['token']),
    problems: [errors.RuleError, errors.BypassError],
    response: { 204: nothing('The cookie is set, for as long as the token is good.') },
    examples: [
      {
        name: 'of_an_operator',
        summary: 'A token that is good',
        body: { token: STAND_INS.bypassToken },
        status: 204,
      },
    ],
  },
  'GET /admin/maintenance': {
    summary: 'What is in force',
    problems: WHO,
    response: {
      200: objectOf(
        {
          ...STATUS_MEMBERS,
          version: COUNT,
          changed_at: MOMENT_OR_NULL,
          changed_by: TEXT_OR_NULL,
          override: {
            ...objectOrNull({ origin: { type: 'string', enum: ['setting', 'file'] }, rules: listOf(RULE) }),
            description: 'What is in force in this process whatever the others agree on.',
          },
          rules: listOf(RULE_WITH_STATE),
          banner: objectOrNull(SHOWN_BANNER),
          writes_in_flight: COUNT,
        },
        { description: 'All of it.' },
      ),
    },
  },
  'POST /admin/maintenance/enable': {
    summary: 'Closes something',
    description: 'Without more: bots can only be looked at. Every member of a rule can be given instead.',
    body: bodyOf({ id: NAME, ...GIVEN_RULE }),
    problems: [errors.FullError, ...CHANGING],
    response: { 200: SET },
    examples: [
      {
        name: 'as_usual',
        summary: 'What is done without more',
        body: { until: '2099-01-01T04:00:00Z', reason: 'a drill' },
        status: 200,
        answer: {
          ...CHANGED,
          maintenance_enabled: true,
          banner_message: 'Bots can only be looked at during maintenance. What they did is safe.',
          rule: {
            ...THE_RULE,
            id: 'maintenance',
            mode: 'read-only',
            from: null,
            message: 'Bots can only be looked at during maintenance. What they did is safe.',
            reason: 'a drill',
          },
          warning: null,
        },
      },
    ],
  },
  'POST /admin/maintenance/disable': {
    summary: 'Opens what is closed',
    body: bodyOf({
      id: { ...NAME, description: 'One rule. Default: all of them.' },
      tenants: { ...FLAG, description: 'Also what is closed for single tenants.' },
      ...NOTE,
    }),
    problems: [errors.UnknownError, ...CHANGING],
    response: { 200: CHANGE },
    examples: [{ name: 'everything', summary: 'All rules', body: {}, status: 200, answer: CHANGED }],
  },
  'PUT /admin/maintenance/rules/:id': {
    summary: 'Puts a rule in force, in place of one of its name',
    params: RULE_ID,
    body: bodyOf({ id: NAME, ...GIVEN_RULE }),
    problems: [errors.FullError, ...CHANGING],
    response: { 200: SET },
    examples: [
      {
        name: 'a_window',
        summary: 'Bots, in a night to come',
        parameters: { id: 'night' },
        body: {
          scope: { group: 'bots' },
          from: '2099-01-01T02:00:00Z',
          until: '2099-01-01T04:00:00Z',
          message: 'Bots rest while the database moves.',
          reason: 'the database moves',
        },
        status: 200,
        answer: { ...CHANGED, rule: { ...THE_RULE, id: 'night' }, warning: null },
      },
    ],
  },
  'DELETE /admin/maintenance/rules/:id': {
    summary: 'Takes a rule away',
    params: RULE_ID,
    querystring: NOTE_QUERY,
    problems: [errors.UnknownError, ...CHANGING],
    response: { 200: CHANGE },
    examples: [
      {
        name: 'it_is_over',
        summary: 'A rule that is not needed any more',
        parameters: { id: 'night', reason: 'it went well' },
        status: 200,
        answer: CHANGED,
      },
    ],
  },
  'GET /admin/maintenance/rules/:id/quiescence': {
    summary: 'Whether the last change of all processes has ended',
    description: 'Of a rule `drain-writes`.',
    params: RULE_ID,
    problems: [errors.UnknownError, errors.UnavailableError, ...WHO],
    response: {
      200: objectOf(
        {
          quiescent: FLAG,
          in_flight: COUNT,
          complete: { ...FLAG, description: 'Whether all processes are known.' },
          processes: listOf(
            objectOf({
              id: TEXT,
              state: { type: 'string', enum: ['quiescent', 'draining', 'behind', 'silent'] },
              in_flight: COUNT,
              seen_ms_ago: COUNT,
            }),
          ),
        },
        { description: 'As the processes have said it.' },
      ),
    },
    examples: [
      {
        name: 'no_such_rule',
        summary: 'A rule that there is not',
        parameters: { id: 'nothing' },
        status: 404,
        answer: {
          type: 'about:blank',
          title: 'Not Found',
          status: 404,
          detail: 'there is no rule "nothing" that drains writes',
          error: 'HOLDFAST_ERR_MAINTENANCE_UNKNOWN',
          correlation_id: '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d',
        },
      },
    ],
  },
  'GET /admin/maintenance/history': {
    summary: 'Who changed what, the latest first',
    querystring: {
      type: 'object',
      additionalProperties: false,
      properties: {
        limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
        cursor: { type: 'integer', minimum: 0 },
      },
    },
    problems: [errors.RuleError, ...WHO],
    response: {
      200: pageOf(
        objectOf({
          version: COUNT,
          at: MOMENT,
          action: {
            type: 'string',
            enum: [
              'rule.set',
              'rule.removed',
              'rules.cleared',
              'banner.set',
              'banner.cleared',
              'bypass.revoked',
            ],
          },
          subject: TEXT_OR_NULL,
          by: TEXT_OR_NULL,
          reason: TEXT_OR_NULL,
          request_id: TEXT_OR_NULL,
        }),
        'A page of it.',
      ),
    },
  },
  'POST /admin/maintenance/bypasses': {
    summary: 'Gives out a way past maintenance',
    description: 'For whoever has to try out what is closed for everybody else.',
    body: bodyOf({
      duration_ms: { type: 'integer', minimum: 1000, maximum: 604_800_000 },
      reason: LINE,
    }),
    problems: [errors.RuleError, errors.UnknownError, ...WHO],
    response: {
      201: objectOf(
        {
          id: { ...TEXT, description: 'Names it in the log; no secret.' },
          token: TEXT,
          header: { ...TEXT, description: 'The header that takes the token.' },
          until: MOMENT,
        },
        { description: 'It is good from now on.' },
      ),
    },
    examples: [
      {
        name: 'for_a_minute',
        summary: 'Whoever tries it out',
        body: { duration_ms: 60_000, reason: 'to try the new version' },
        status: 201,
        answer: {
          id: '0b7f9c1e-4d2a-4e0b-9a51-6c0d8f2e7a13',
          token: STAND_INS.bypassToken,
          header: 'x-maintenance-bypass',
          until: '2026-11-22T12:01:00.000Z',
        },
      },
    ],
  },
  'DELETE /admin/maintenance/bypasses': {
    summary: 'Ends all ways past maintenance',
    querystring: NOTE_QUERY,
    problems: CHANGING,
    response: { 200: CHANGE },
    examples: [{ name: 'all_of_them', summary: 'None is good any more', status: 200, answer: CHANGED }],
  },
  'POST /admin/banner': {
    summary: 'Shows everybody a line',
    body: bodyOf(
      {
        message: LINE,
        severity: { ...SEVERITY, default: 'info' },
        from: GIVEN_MOMENT,
        until: GIVEN_MOMENT,
        ...NOTE,
      },
      ['message'],
    ),
    problems: CHANGING,
    response: { 200: CHANGE },
    examples: [
      {
        name: 'a_warning',
        summary: 'Something is slow',
        body: { message: 'Odds are late today.', severity: 'warning' },
        status: 200,
        answer: { ...CHANGED, banner_message: 'Odds are late today.' },
      },
    ],
  },
  'POST /admin/banner/clear': {
    summary: 'Takes the line away',
    body: bodyOf(NOTE),
    problems: CHANGING,
    response: { 200: CHANGE },
    examples: [{ name: 'it_is_over', summary: 'Nothing is shown', body: {}, status: 200, answer: CHANGED }],
  },
}
