// Every SECURITY_EVENT is an entry of the audit log. What an operator does by a route is entered there, with how it was
// before: the event that says the same is left out.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ToldEvent } from '@holdfast/logging'
import type { AuditEntry, AuditLog } from './audit-log.ts'
import { isAudited } from './audited-request.ts'

const EVENTS = 'holdfast:logging:event'

/** What the line of an event says of itself and of where it was told; the rest is what happened. */
const OWN: ReadonlySet<string> = new Set([
  'event_type',
  'event',
  'correlation_id',
  'request_id',
  'trace_id',
  'span_id',
  'tenant',
  'user_id',
  'method',
  'path',
  'job',
  'reason',
])
/** Which member says whom or what an event is about, the first that is there. */
const SUBJECTS = ['subject', 'address', 'flagged', 'holder', 'family', 'session'] as const

/** Enters them from now on; the answer ends that. */
export function auditSecurityEvents(log: Pick<AuditLog, 'recordSoon'>): () => void {
  const told = (message: unknown): void => {
    const event = message as ToldEvent
    if (event.type !== 'SECURITY_EVENT' || isAudited()) return
    log.recordSoon(entryOf(event), 'event', event.correlationId)
  }
  subscribe(EVENTS, told)
  return () => {
    unsubscribe(EVENTS, told)
  }
}

/** The entry that an event is. */
export function entryOf({ event, line }: Pick<ToldEvent, 'event' | 'line'>): AuditEntry {
  const told = Object.entries(line).filter(([name]) => !OWN.has(name))
  return {
    actor: textOf(line['user_id']) ?? (line['method'] === undefined ? 'service' : 'anonymous'),
    tenant: textOf(line['tenant']),
    action: event,
    subject: SUBJECTS.map((name) => textOf(line[name])).find((text) => text !== undefined),
    after: told.length === 0 ? undefined : Object.fromEntries(told),
    reason: textOf(line['reason']),
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
