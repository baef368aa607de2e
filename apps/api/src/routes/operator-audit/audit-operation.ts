// How the audit log is described: what the route takes, what it answers, and an example.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import { ApiCursorInvalidError, ApiUnauthorizedError } from '../../errors.ts'
import { ID, MOMENT, objectOf, pageOf, TEXT, TEXT_OR_NULL } from '../../openapi/members.ts'
import { TENANT_SLUG_PATTERN } from '../../tenant-slug.ts'

const ENTRY = objectOf({
  id: ID,
  at: MOMENT,
  actor: { ...TEXT, description: 'The id of a user, or a word for who is none.' },
  tenant: TEXT_OR_NULL,
  action: TEXT,
  subject: { ...TEXT_OR_NULL, description: 'What it was done to.' },
  before: { description: 'How it was; null where nothing was, or is known.' },
  after: { description: 'How it is since; of an event, what happened.' },
  reason: TEXT_OR_NULL,
  correlation_id: TEXT_OR_NULL,
})

/** Of `GET /admin/audit`. */
export const AUDIT_SCHEMA: FastifySchema = {
  operationId: 'listAuditEntries',
  summary: 'Who did what, the latest first',
  description: 'Entries are written once, and never changed.',
  querystring: pageQuery({
    action: { type: 'string', pattern: '^[a-z][a-z0-9_.-]{0,99}$', description: 'Of this action alone.' },
    // PostgreSQL has no text with a NUL in it.
    actor: {
      type: 'string',
      minLength: 1,
      maxLength: 200,
      pattern: '^[^\\u0000]*$',
      description: 'What this one did.',
    },
    tenant: { type: 'string', pattern: TENANT_SLUG_PATTERN, description: 'In this tenant.' },
  }),
  problems: [ApiUnauthorizedError, ApiCursorInvalidError],
  response: { 200: pageOf(ENTRY, 'A page of them.') },
  examples: [
    {
      name: 'what_somebody_did',
      summary: 'What somebody did to a banner',
      parameters: { action: 'banner.set', actor: '4711' },
      status: 200,
      answer: {
        items: [
          {
            id: '1',
            at: '2026-11-22T12:00:00.000Z',
            actor: '4711',
            tenant: 'acme',
            action: 'banner.set',
            subject: null,
            before: { banner: null },
            after: { banner: 'We are back at noon.' },
            reason: null,
            correlation_id: '5b2c7a0e-9f1d-4c1a-8d1e-2f6f0a3c9b7d',
          },
        ],
        next_cursor: null,
      },
    },
  ],
}
