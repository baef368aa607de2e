// GET /admin/audit: who did what, and what it changed, for operators.

import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import type { AuditRepository, StoredEntry } from '../../audit/audit-repository.ts'
import { requireOperator } from '../../bearer.ts'
import { idBefore, pageOf } from '../../cursor.ts'
import { AUDIT_SCHEMA } from './audit-operation.ts'

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

/** The route. */
export const operatorAudit: FastifyPluginCallback<OperatorAuditOptions> = (
  app,
  { repository, authorize },
  done,
) => {
  app.get<AuditRoute>(
    '/admin/audit',
    {
      // After who asks is known, and before what he has sent is read.
      onRequest: requireOperator(authorize),
      config: { access: 'guarded', poolGuard: { criticality: 'normal', budgetMs: BUDGET_MS } },
      schema: AUDIT_SCHEMA,
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
