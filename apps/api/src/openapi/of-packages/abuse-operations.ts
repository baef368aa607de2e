// Of @holdfast/abuse-guard: blocked addresses and flagged users.

import { errors } from '@holdfast/abuse-guard'
import type { FastifySchema } from 'fastify'
import { COUNT, FLAG, listOf, MOMENT, objectOf, pageOf, TEXT } from '../members.ts'

const BLOCK_MEMBERS = {
  address: { ...TEXT, description: '`192.0.2.1`, or a network such as `2001:db8:1:2::/64`.' },
  reason: TEXT,
  origin: { type: 'string', enum: ['automatic', 'manual'] },
  since: MOMENT,
  until: MOMENT,
  retry_after: { ...COUNT, description: 'Seconds until its end.' },
  offences: { ...COUNT, description: 'Blocks that count for the length of the next one, this one included.' },
  refused: { ...COUNT, description: 'Requests that the process that answers refused because of it.' },
  shared: { ...FLAG, description: 'Whether other processes know it.' },
}
const BLOCK = objectOf(BLOCK_MEMBERS)
const BLOCK_OR_NULL = { ...BLOCK, type: ['object', 'null'] } as const

const ADDRESS = {
  type: 'object',
  required: ['address'],
  properties: { address: { ...TEXT, description: 'An address, or a network.' } },
} as const
const WHO = [errors.UnauthenticatedError, errors.ForbiddenError] as const

const BLOCKED = {
  address: '192.0.2.7',
  reason: 'scans for holes',
  origin: 'manual',
  since: '2026-11-22T12:00:00.000Z',
  until: '2026-11-22T12:10:00.000Z',
  retry_after: 600,
  offences: 1,
  refused: 0,
  shared: false,
}

/** By `METHOD /path`. */
export const abuseOperations: Readonly<Record<string, FastifySchema>> = {
  'GET /admin/abuse/blocks': {
    summary: 'Addresses that are blocked',
    querystring: {
      type: 'object',
      additionalProperties: false,
      properties: {
        limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
        cursor: { type: 'string', maxLength: 16 },
      },
    },
    problems: [errors.InputError, ...WHO],
    response: { 200: pageOf(BLOCK, 'A page of them.') },
    examples: [
      {
        name: 'one_block',
        summary: 'One address',
        status: 200,
        answer: { items: [BLOCKED], next_cursor: null },
      },
    ],
  },
  'POST /admin/abuse/blocks': {
    summary: 'Blocks an address',
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['address'],
      properties: {
        address: TEXT,
        duration_ms: { type: 'number', minimum: 1, maximum: 2_147_483_647 },
        reason: { type: 'string', minLength: 1, maxLength: 200 },
      },
    },
    problems: [errors.InputError, errors.AddressError, errors.AllowedError, ...WHO],
    response: { 201: { ...BLOCK, description: 'It is blocked.' } },
    examples: [
      {
        name: 'for_ten_minutes',
        summary: 'An address, for ten minutes',
        body: { address: '192.0.2.7', duration_ms: 600_000, reason: 'scans for holes' },
        status: 201,
        answer: BLOCKED,
      },
    ],
  },
  'DELETE /admin/abuse/blocks/:address': {
    summary: 'Lets an address in again',
    params: ADDRESS,
    problems: [errors.AddressError, errors.UnknownError, ...WHO],
    response: {
      200: objectOf(
        { unblocked: { ...listOf(TEXT), description: 'The blocks that ended.' }, shared: FLAG },
        { description: 'It is not blocked any more.' },
      ),
      202: objectOf(
        { unblocked: listOf(TEXT), shared: FLAG },
        { description: 'It was not blocked here; the other processes are told when they can be.' },
      ),
    },
    examples: [
      {
        name: 'pardoned',
        summary: 'An address that was blocked',
        parameters: { address: '192.0.2.7' },
        status: 200,
        answer: { unblocked: ['192.0.2.7'], shared: false },
      },
    ],
  },
  'GET /admin/abuse/addresses': {
    summary: 'Who asks for the most',
    problems: WHO,
    response: {
      200: pageOf(objectOf({ address: TEXT, count: COUNT }), 'The twenty addresses with the most requests.'),
    },
  },
  'GET /admin/abuse/addresses/:address': {
    summary: 'What is known about an address',
    params: ADDRESS,
    problems: [errors.AddressError, ...WHO],
    response: {
      200: objectOf(
        {
          address: TEXT,
          allowed: { ...FLAG, description: 'Whether it is never blocked.' },
          block: BLOCK_OR_NULL,
          counts: {
            ...listOf(objectOf({ address: TEXT, count: COUNT, most: COUNT })),
            description:
              'Requests of the last minute, of the address and the networks around it, and how many lead to a block.',
          },
          doubt: {
            type: ['string', 'null'],
            description:
              'Why counting would not block it at present: `everybody-looks-alike`, `anybody-is-believed` or `too-many-blocks`.',
          },
        },
        { description: 'All of it.' },
      ),
    },
    examples: [
      {
        name: 'never_seen',
        summary: 'An address that has asked for nothing',
        parameters: { address: '192.0.2.9' },
        status: 200,
        answer: {
          address: '192.0.2.9',
          allowed: false,
          block: null,
          counts: [{ address: '192.0.2.9', count: 0, most: 100 }],
          doubt: null,
        },
      },
    ],
  },
  'GET /admin/abuse/users': {
    summary: 'Users who do something remarkable too often',
    problems: WHO,
    response: {
      200: objectOf(
        {
          flagged: listOf(objectOf({ user: TEXT, reason: TEXT, events: COUNT, since: MOMENT })),
          users: { ...COUNT, description: 'How many are counted at present.' },
          max_events: COUNT,
          window_ms: COUNT,
        },
        { description: 'Those who are flagged.' },
      ),
    },
    examples: [
      {
        name: 'nobody',
        summary: 'Nobody is flagged',
        status: 200,
        answer: { flagged: [], users: 0, max_events: 50, window_ms: 300_000 },
      },
    ],
  },
  'DELETE /admin/abuse/users/:user': {
    summary: 'Pardons a user',
    params: { type: 'object', required: ['user'], properties: { user: TEXT } },
    problems: [errors.UnknownError, ...WHO],
    response: { 200: objectOf({ unflagged: TEXT }, { description: 'He is not flagged any more.' }) },
    examples: [
      {
        name: 'nobody_of_that_name',
        summary: 'A user who is not flagged',
        parameters: { user: '1' },
        status: 404,
        answer: {
          type: 'about:blank',
          title: 'Not Found',
          status: 404,
          detail: 'there is no flag of this user',
          error: 'HOLDFAST_ERR_ABUSE_GUARD_UNKNOWN',
          correlation_id: '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d',
        },
      },
    ],
  },
}
