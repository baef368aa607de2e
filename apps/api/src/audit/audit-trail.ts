// `app.audit`: the log, what enters security events into it, its health check and its metrics.

import type { Clock } from '@holdfast/footing'
import type { Metrics } from '@holdfast/metrics'
import { runInScope } from '@holdfast/pool-guard'
import { fastifyPlugin } from 'fastify-plugin'
import { AuditLog, type AuditOutcome, type AuditSnapshot } from './audit-log.ts'
import type { AuditRepository } from './audit-repository.ts'
import { auditSecurityEvents } from './security-events.ts'

/** What it is made of. */
export interface AuditTrailOptions {
  readonly repository: Pick<AuditRepository, 'countSince'>
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
  readonly clock: Clock
  /** Undefined: nothing is counted. */
  readonly metrics: Pick<Metrics, 'counter' | 'gauge'> | undefined
}

const OUTCOMES: readonly AuditOutcome[] = ['stored', 'lost']
/** Rarely: what it finds out is that nothing is lost, and how much there is to read. */
const CHECK_EVERY_MS = 60_000
const COUNT_BUDGET_MS = 500
const RECENT_MS = 3_600_000

/** Register it behind the pool, and before whatever enters something. Channels are those of the process. */
export const auditTrail = fastifyPlugin<AuditTrailOptions>(
  async (app, { repository, prepare, clock, metrics }) => {
    const counter = metrics?.counter({
      name: 'audit_entries_total',
      help: 'Entries of the audit log that were written a moment later, by what became of them',
      labels: { outcome: OUTCOMES },
    })
    const log = new AuditLog({
      pool: app.poolGuard,
      prepare,
      correlationId: () => app.logging.correlationId,
      log: app.log,
      clock,
      onEnd: (outcome, entries) => counter?.inc({ outcome }, entries),
    })
    const queued = metrics?.gauge({
      name: 'audit_queued_entries',
      help: 'Entries of the audit log that wait to be written',
      collect: () => queued?.set(log.snapshot().queued),
    })
    app.decorate('audit', log)
    const ended = auditSecurityEvents(log)
    app.addHook('onClose', async () => {
      ended()
      await log.close()
    })
    let lostBefore = 0
    app.health.addCheck('audit', {
      intervalMs: CHECK_EVERY_MS,
      check: async () => {
        const recent = await countRecent(repository, clock)
        const snapshot = log.snapshot()
        const verdict = auditHealth(snapshot, lostBefore, recent)
        lostBefore = snapshot.lost
        return verdict
      },
    })
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/audit-trail',
    dependencies: ['@holdfast/health', '@holdfast/logging', '@holdfast/pool-guard'],
  },
)

/** Degraded while entries are being lost; that the database cannot be asked, others say. */
export function auditHealth(
  { queued, stored, lost, failing }: AuditSnapshot,
  lostBefore: number,
  lastHour: number | null,
) {
  const data = { last_hour: lastHour, queued, stored, lost, failing }
  const lostNow = lost - lostBefore
  if (lostNow === 0) return { status: 'healthy', data } as const
  return { status: 'degraded', reason: `${lostNow} entries were lost since the last look`, data } as const
}

/** Null where the database has no answer in time. */
async function countRecent(
  repository: AuditTrailOptions['repository'],
  clock: Clock,
): Promise<number | null> {
  const deadlineMs = clock.nowMs() + COUNT_BUDGET_MS
  const scope = { criticality: 'background', route: 'audit health', deadlineMs } as const
  try {
    return await runInScope(scope, () => repository.countSince(new Date(clock.wallMs() - RECENT_MS)))
  } catch {
    return null
  }
}
