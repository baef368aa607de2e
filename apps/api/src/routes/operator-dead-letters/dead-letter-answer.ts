// What the routes of dead letters answer, and the cursor of their list.

import { bigintOf } from '../../db/bigint.ts'
import { ApiCursorInvalidError } from '../../errors.ts'
import type { DeadLetter, DeadLetterDetails, DeadLetterPlace, Replay } from '../../jobs/dead-letters.ts'

/** A dead letter in a list. */
export interface DeadLetterAnswer {
  readonly id: string
  readonly queue: string
  readonly state: string
  readonly job_id: string
  readonly root_id: string
  readonly key: string | null
  readonly attempts: number
  /** RFC 3339, as all times. */
  readonly enqueued_at: string
  readonly died_at: string
  readonly ended_at: string | null
  readonly ended_by: string | null
  readonly reason: string | null
  readonly replayed_as: string | null
  readonly error: DeadLetter['error']
}

/** What `GET /admin/dlq/:queue` answers. */
export interface DeadLetterList {
  /** The latest first. */
  readonly items: readonly DeadLetterAnswer[]
  /** For the next page; null on the last one. */
  readonly next_cursor: string | null
}

export function deadLetterAnswer(letter: DeadLetter): DeadLetterAnswer {
  return {
    id: letter.id,
    queue: letter.queue,
    state: letter.state,
    job_id: letter.jobId,
    root_id: letter.rootId,
    key: letter.key,
    attempts: letter.attempts,
    enqueued_at: letter.enqueuedAt.toISOString(),
    died_at: letter.diedAt.toISOString(),
    ended_at: letter.endedAt?.toISOString() ?? null,
    ended_by: letter.endedBy,
    reason: letter.reason,
    replayed_as: letter.replayedAs,
    error: letter.error,
  }
}

/** What `GET /admin/dlq/:queue/:id` answers. */
export function detailsAnswer(details: DeadLetterDetails) {
  return {
    ...deadLetterAnswer(details),
    correlation_id: details.correlationId,
    payload: details.payload,
    stack: details.stack,
    replays: details.replays,
    history: details.history.map(({ id, queue, state, at }) => ({ id, queue, state, at: at.toISOString() })),
  }
}

/** A page out of one dead letter more than it may hold, which tells whether there is another page. */
export function deadLetterList(
  found: readonly { readonly letter: DeadLetter; readonly place: DeadLetterPlace }[],
  limit: number,
): DeadLetterList {
  const page = found.slice(0, limit)
  const last = page.at(-1)
  return {
    items: page.map(({ letter }) => deadLetterAnswer(letter)),
    next_cursor: found.length > limit && last !== undefined ? cursorOf(last.place) : null,
  }
}

/** What `POST /admin/dlq/:queue/replay` answers. */
export function replaysAnswer(replays: readonly Replay[], dryRun: boolean) {
  return {
    dry_run: dryRun,
    replayed: replays.filter(({ outcome }) => outcome === 'replayed').length,
    items: replays.map(({ id, outcome, jobId }) => ({ id, outcome, job_id: jobId })),
  }
}

/** The place after which the page of this cursor begins. */
export function placeOfCursor(cursor: string | undefined): DeadLetterPlace | undefined {
  if (cursor === undefined) return undefined
  const [, microseconds = '', id] = CURSOR.exec(cursor) ?? []
  const atUs = bigintOf(microseconds)
  if (atUs === undefined || id === undefined) throw new ApiCursorInvalidError()
  return { atUs, id }
}

function cursorOf({ atUs, id }: DeadLetterPlace): string {
  return `${atUs}.${id}`
}

// Nearer than any date that PostgreSQL does not have.
const CURSOR = /^(\d{1,17})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/
