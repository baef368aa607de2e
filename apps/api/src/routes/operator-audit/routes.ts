// GET /admin/audit: who did what, and what it changed, for operators.

import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import type { AuditRepository, StoredEntry } from '../../audit/audit-repository.ts'
import { requireBearer } from '../../bearer.ts'
import { idBefore, PAGE_QUERY, pageOf, pageSchema } from '../../cursor.ts'
import { ApiCursorInvalidError, ApiUnauthorizedError } from '../../errors.ts'
import { TENANT_SLUG_PATTERN } from '../../tenant-slug.ts'

/** What the route needs. */
export interface OperatorAuditOptions {
  readonly repository: Pick<AuditRepository, 'entries'>
  /** Who may read it. */
  readonly authorize: (request: FastifyRequest) => boolean
}

/** What the database may take for one page. */
const BUDGET_MS = 2000

interface AuditRoute {
  Querystring: { limit: number; cursor?: string; action?: string; actor?: string; tenant?: string }
}

const NULLABLE_TEXT = { type: ['string', 'null'] } as const

const ENTRY = {
  type: 'object',
  additionalProperties: false,
  required: [
    'id',
    'at',
    'actor',
    'tenant',
    'action',
    'subject',
    'before',
    'after',
    'reason',
    'correlation_id',
  ],
  properties: {
    id: { type: 'string' },
    at: { type: 'string', format: 'date-time' },
    actor: { type: 'string', description: 'The id of a user, or a word for who is none.' },
    tenant: NULLABLE_TEXT,
    action: { type: 'string' },
    subject: { ...NULLABLE_TEXT, description: 'What it was done to.' },
    before: { description: 'How it was; null where nothing was, or is known.' },
    after: { description: 'How it is since; of an event, what happened.' },
    reason: NULLABLE_TEXT,
    correlation_id: NULLABLE_TEXT,
  },
} as const

/** The route. */
export const operatorAudit: FastifyPluginCallback<OperatorAuditOptions> = (
  app,
  { repository, authorize },
  done,
) => {
  app.get<AuditRoute>(
    '/admin/audit',
    {
      // Late, so that it is known who asks.
      preHandler: requireBearer('admin', authorize),
      config: { access: 'guarded', poolGuard: { criticality: 'normal', budgetMs: BUDGET_MS } },
      schema: {
        operationId: 'listAuditEntries',
        summary: 'Who did what, the latest first',
        problems: [ApiUnauthorizedError, ApiCursorInvalidError],
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            ...PAGE_QUERY,
            action: { type: 'string', pattern: '^[a-z][a-z0-9_.-]{0,99}$' },
            actor: { type: 'string', minLength: 1, maxLength: 200 },
            tenant: { type: 'string', pattern: TENANT_SLUG_PATTERN },
          },
        },
        response: { 200: pageSchema(ENTRY) },
      },
    },
    async ({ query: { limit, cursor, ...filter } }, reply) => {
      // One more than asked for tells whether there is another page.
      const entries = await repository.entries(filter, idBefore(cursor), limit + 1)
      reply.header('cache-control', 'no-store')
      return pageOf(entries, limit, itemOf)
    },
  )
  done()
}

function itemOf({
  id,
  at,
  actor,
  tenant,
  action,
  subject,
  before,
  after,
  reason,
  correlation_id,
}: StoredEntry) {
  return {
    id,
    at: at.toISOString(),
    actor,
    tenant,
    action,
    subject,
    before,
    after,
    reason,
    correlation_id,
  }
}
