// How the operations on bots, and their status, are described: what they take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import {
  ApiBotOvertakenError,
  ApiBotStateError,
  ApiBotStatusUnavailableError,
  ApiBotUnknownError,
  ApiCursorInvalidError,
  ApiIdNotTextError,
} from '../../errors.ts'
import { ID, MOMENT, objectOf, pageOf, TEXT } from '../../openapi/members.ts'
import type { Example } from '../../openapi/operation.ts'
import { problemExample } from '../../openapi/problem-example.ts'
import { type BotOperation, STEPS } from './bot.ts'

const STATUS = { type: 'string', enum: ['stopped', 'running', 'failed'] } as const
const BOT_MEMBERS = { bot_id: ID, name: TEXT, status: STATUS, changed_at: MOMENT } as const
const BOT = objectOf(BOT_MEMBERS)

const SUMMARIES: Readonly<Record<BotOperation, string>> = {
  start: 'Starts a bot',
  stop: 'Stops a bot',
  recover: 'Has a bot run that should and does not',
}

const CHANGED_AT = '2026-11-22T12:00:00.000Z'
const STEADY = { bot_id: '1', name: 'Steady', status: 'stopped', changed_at: CHANGED_AT }

const REFUSED: Readonly<Record<BotOperation, readonly Example[]>> = {
  start: [
    {
      name: 'no_such_bot',
      summary: 'A bot of somebody else, or of nobody',
      body: { bot_id: '999999' },
      status: 404,
      answer: problemExample(404, 'HOLDFAST_ERR_API_BOT_UNKNOWN', 'there is no such bot'),
    },
    {
      name: 'it_runs',
      summary: 'A bot that runs already',
      body: { bot_id: '1' },
      status: 409,
      answer: problemExample(
        409,
        'HOLDFAST_ERR_API_BOT_STATE',
        'the bot is running, so that all that can be done with it is: stop or recover',
      ),
    },
  ],
  recover: [],
  stop: [],
}

/** Of `POST /api/bot/start`, `stop` and `recover`. */
export function changeSchema(operation: BotOperation): FastifySchema {
  const { to } = STEPS[operation]
  return {
    operationId: `${operation}Bot`,
    summary: SUMMARIES[operation],
    description: 'One operation of a user goes on at a time.',
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['bot_id'],
      properties: { bot_id: ID },
    },
    problems: [ApiIdNotTextError, ApiBotUnknownError, ApiBotStateError, ApiBotOvertakenError],
    response: {
      200: objectOf(
        { success: { type: 'boolean', enum: [true] }, ...BOT_MEMBERS, event_id: ID },
        { description: 'It is done, and an event says so.' },
      ),
    },
    examples: [
      {
        name: `${operation}_a_bot`,
        summary: 'A bot of whoever asks',
        body: { bot_id: '1' },
        status: 200,
        answer: { success: true, ...STEADY, status: to, event_id: '1' },
      },
      ...REFUSED[operation],
    ],
  }
}

export const STATUS_SCHEMA: FastifySchema = {
  operationId: 'readBotStatus',
  summary: 'The bots of whoever asks, or one of them',
  description:
    'While the database cannot be asked, what was read last stands in, with `Age` and `Warning: 110`.',
  querystring: pageQuery({ bot_id: { ...ID, description: 'One bot, instead of a page of all.' } }),
  problems: [ApiBotUnknownError, ApiCursorInvalidError, ApiBotStatusUnavailableError],
  response: {
    // It is text when it is sent: read just now, or remembered.
    200: {
      description: 'The bot; without `bot_id` a page of all.',
      oneOf: [BOT, pageOf(BOT, 'A page of them.')],
    },
  },
  examples: [
    {
      name: 'all_bots',
      summary: 'All of them, the oldest first',
      parameters: { limit: 20 },
      status: 200,
      answer: {
        items: [STEADY, { bot_id: '2', name: 'Momentum', status: 'stopped', changed_at: CHANGED_AT }],
        next_cursor: null,
      },
    },
    {
      name: 'one_bot',
      summary: 'One of them',
      parameters: { bot_id: '1' },
      status: 200,
      answer: STEADY,
    },
  ],
}
