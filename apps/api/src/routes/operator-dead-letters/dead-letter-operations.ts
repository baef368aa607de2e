// How the routes of dead letters are described: what they take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import {
  ApiCursorInvalidError,
  ApiDeadLetterStateError,
  ApiDeadLetterUnknownError,
  ApiReplayBudgetError,
  ApiReplayCollidesError,
  ApiUnauthorizedError,
} from '../../errors.ts'
import { QUEUE_NAMES } from '../../jobs/queues.ts'
import {
  COUNT,
  FLAG,
  listOf,
  MOMENT,
  MOMENT_OR_NULL,
  objectOf,
  pageOf,
  TEXT,
  TEXT_OR_NULL,
} from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'
import { STAND_INS } from '../../openapi/stand-ins.ts'

const UUID = { type: 'string', format: 'uuid' } as const
const UUID_OR_NULL = { type: ['string', 'null'], format: 'uuid' } as const
const STATE = { type: 'string', enum: ['open', 'replayed', 'discarded'] } as const
const QUEUE = { type: 'string', enum: QUEUE_NAMES } as const
/** A time in microseconds, and the id of a dead letter. */
const MAX_CURSOR = 60

const QUEUE_PARAMS = { ...objectOf({ queue: QUEUE }), additionalProperties: false } as const
const LETTER_PARAMS = {
  ...objectOf({ queue: QUEUE, id: { ...UUID, maxLength: 36 } }),
  additionalProperties: false,
} as const
const FILTER = {
  // PostgreSQL has no text with a NUL in it.
  code: {
    type: 'string',
    minLength: 1,
    maxLength: 100,
    pattern: '^[^\\u0000]*$',
    description: 'The `code` of the error.',
  },
  // Neither leap seconds, of which `Date` makes nothing, nor years at the ends of what PostgreSQL knows.
  died_before: {
    type: 'string',
    format: 'date-time',
    maxLength: 40,
    pattern: '^[12]\\d{3}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:[0-5]\\d',
    description: 'RFC 3339, of the years 1000 to 2999.',
  },
} as const

const LETTER_MEMBERS = {
  id: UUID,
  queue: QUEUE,
  state: { ...STATE, description: '`open`: nobody has dealt with it.' },
  job_id: { ...UUID, description: 'The job that died.' },
  root_id: { ...UUID, description: 'The first job of those that came of each other by replays.' },
  key: TEXT_OR_NULL,
  attempts: COUNT,
  enqueued_at: MOMENT,
  died_at: MOMENT,
  ended_at: { ...MOMENT_OR_NULL, description: 'When somebody dealt with it.' },
  ended_by: TEXT_OR_NULL,
  reason: TEXT_OR_NULL,
  replayed_as: { ...UUID_OR_NULL, description: 'The job that came of it.' },
  error: objectOf({ kind: TEXT, name: TEXT, message: TEXT, code: TEXT_OR_NULL }),
} as const

const DETAILS = objectOf(
  {
    ...LETTER_MEMBERS,
    correlation_id: TEXT_OR_NULL,
    payload: { ...TEXT, description: 'JSON, without what looks like a secret, cut after 16,384 characters.' },
    stack: TEXT_OR_NULL,
    replays: { ...COUNT, description: 'How often jobs of its root were replayed.' },
    history: {
      ...listOf(objectOf({ id: UUID, queue: TEXT, state: TEXT, at: MOMENT })),
      description: 'The jobs and dead letters of its root, the oldest first; at most 50.',
    },
  },
  { description: 'The dead letter, and all that helps to find out why.' },
)

const AT = '2026-11-22T12:00:00.000Z'
const ID = STAND_INS.deadLetterId
const JOB_ID = '8d0f5a3c-1b2e-4f6a-9c7d-0e1f2a3b4c5d'
const OF_A_QUEUE = { queue: 'settle' } as const
const OF_A_LETTER = { ...OF_A_QUEUE, id: ID } as const
const NOBODYS = { ...OF_A_QUEUE, id: '00000000-0000-4000-8000-000000000000' }
const LETTER = {
  ...OF_A_LETTER,
  state: 'open',
  job_id: JOB_ID,
  root_id: JOB_ID,
  key: null,
  attempts: 9,
  enqueued_at: AT,
  died_at: AT,
  ended_at: null,
  ended_by: null,
  reason: null,
  replayed_as: null,
  error: { kind: 'retryable', name: 'Error', message: 'the ledger does not answer', code: 'E_DOWN' },
}
const UNKNOWN = problemExample(404, 'HOLDFAST_ERR_API_DEAD_LETTER_UNKNOWN', 'there is no such dead letter')

/** By what is done. */
export const DEAD_LETTER_SCHEMAS = {
  list: {
    operationId: 'listDeadLetters',
    summary: 'The jobs of a queue that nobody tries any more, the latest first',
    params: QUEUE_PARAMS,
    querystring: pageQuery({ state: { ...STATE, default: 'open' }, ...FILTER }, { maxCursor: MAX_CURSOR }),
    problems: [ApiUnauthorizedError, ApiCursorInvalidError],
    response: { 200: pageOf(objectOf(LETTER_MEMBERS), 'A page of them.') },
    examples: [
      {
        name: 'one_that_is_open',
        summary: 'Those that nobody has dealt with',
        parameters: { ...OF_A_QUEUE, limit: 20 },
        status: 200,
        answer: { items: [LETTER], next_cursor: null },
      },
    ],
  },
  show: {
    operationId: 'readDeadLetter',
    summary: 'One of them, and all that helps to find out why',
    params: LETTER_PARAMS,
    problems: [ApiUnauthorizedError, ApiDeadLetterUnknownError],
    response: { 200: DETAILS },
    examples: [
      {
        name: 'why_it_died',
        summary: 'A settlement that nine tries have not done',
        parameters: OF_A_LETTER,
        status: 200,
        answer: {
          ...LETTER,
          correlation_id: null,
          payload: '{"event_id":"1"}',
          stack: null,
          replays: 0,
          history: [{ id: ID, queue: 'settle.dead', state: 'created', at: AT }],
        },
      },
      {
        name: 'no_such_dead_letter',
        summary: 'One that there is not',
        parameters: NOBODYS,
        status: 404,
        answer: UNKNOWN,
      },
    ],
  },
  replay: {
    operationId: 'replayDeadLetter',
    summary: 'Puts the job in again',
    description: 'Once: asked again, it answers with the job that came of it. Stands in the audit log.',
    params: LETTER_PARAMS,
    problems: [
      ApiUnauthorizedError,
      ApiDeadLetterUnknownError,
      ApiDeadLetterStateError,
      ApiReplayCollidesError,
      ApiReplayBudgetError,
    ],
    response: {
      200: objectOf(
        { id: UUID, job_id: UUID, repeated: { ...FLAG, description: 'It was done before.' } },
        { description: 'The job that came of it.' },
      ),
    },
    examples: [
      {
        name: 'once_more',
        summary: 'Its cause is gone',
        parameters: OF_A_LETTER,
        status: 200,
        answer: { id: ID, job_id: JOB_ID, repeated: false },
      },
      {
        name: 'it_was_discarded',
        summary: 'One that somebody has given up',
        parameters: OF_A_LETTER,
        status: 409,
        answer: problemExample(
          409,
          'HOLDFAST_ERR_API_DEAD_LETTER_STATE',
          'this dead letter is discarded already',
        ),
      },
    ],
  },
  replayMany: {
    operationId: 'replayDeadLetters',
    summary: 'Puts the jobs of the oldest of them in again',
    description:
      'Those that are open and fit, at most `limit`. With `dry_run` everything is told as it would be, and nothing is done.',
    params: QUEUE_PARAMS,
    body: {
      type: 'object',
      additionalProperties: false,
      // Whoever puts in many says how many, and whether he means it.
      required: ['limit', 'dry_run'],
      properties: {
        limit: { type: 'integer', minimum: 1, maximum: 100 },
        // Without a type nothing is made a boolean of: `null` would be one that means it.
        dry_run: { enum: [true, false], description: 'Whether it is only told what would be done.' },
        ...FILTER,
      },
    },
    problems: [ApiUnauthorizedError],
    response: {
      200: objectOf(
        {
          dry_run: FLAG,
          replayed: COUNT,
          items: listOf(
            objectOf({
              id: UUID,
              outcome: { type: 'string', enum: ['replayed', 'collides', 'budget_spent', 'taken'] },
              job_id: { ...UUID_OR_NULL, description: 'The job that came of it.' },
            }),
          ),
        },
        { description: 'What became of each.' },
      ),
    },
    examples: [
      {
        name: 'only_to_see',
        summary: 'What would be done',
        parameters: OF_A_QUEUE,
        body: { limit: 10, dry_run: true, code: 'E_DOWN' },
        status: 200,
        answer: { dry_run: true, replayed: 1, items: [{ id: ID, outcome: 'replayed', job_id: null }] },
      },
      {
        name: 'in_earnest',
        summary: 'It is done',
        parameters: OF_A_QUEUE,
        body: { limit: 10, dry_run: false, code: 'E_DOWN' },
        status: 200,
        answer: { dry_run: false, replayed: 1, items: [{ id: ID, outcome: 'replayed', job_id: JOB_ID }] },
      },
    ],
  },
  discard: {
    operationId: 'discardDeadLetter',
    summary: 'Gives it up',
    description: 'Asked again, it does nothing. Stands in the audit log.',
    params: LETTER_PARAMS,
    querystring: {
      type: 'object',
      additionalProperties: false,
      required: ['reason'],
      properties: {
        reason: { type: 'string', minLength: 1, maxLength: 1000, pattern: '^\\s*[^\\s\\u0000][^\\u0000]*$' },
      },
    },
    problems: [ApiUnauthorizedError, ApiDeadLetterUnknownError, ApiDeadLetterStateError],
    response: {
      200: objectOf(
        { id: UUID, repeated: { ...FLAG, description: 'It was done before.' } },
        { description: 'Nothing more is done with it.' },
      ),
    },
    examples: [
      {
        name: 'given_up',
        summary: 'It was settled by hand',
        parameters: { ...OF_A_LETTER, reason: 'settled by hand' },
        status: 200,
        answer: { id: ID, repeated: false },
      },
      {
        name: 'no_such_dead_letter',
        summary: 'One that there is not',
        parameters: { ...NOBODYS, reason: 'settled by hand' },
        status: 404,
        answer: UNKNOWN,
      },
    ],
  },
} as const satisfies Readonly<Record<string, FastifySchema>>
