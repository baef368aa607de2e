/*
 * Which errors count against a dependency, when the owner of the breaker does not say otherwise.
 *
 * A failure is what the infrastructure does wrong. An error that tells the caller about its own mistake (a status
 * from 400 to 499) is an answer, and the proof that the dependency is alive. Who leaves, and who was refused before
 * the dependency was asked, says nothing.
 */
import { type Outcome, outcomeOf } from './outcome.ts'

/** 408, 425 and 429 ask to come again and 499 is a client that left: neither an answer nor a failure. */
const silentStatuses: ReadonlySet<number> = new Set([408, 425, 429, 499])

/** How Node.js, undici and the DOM mark an abort; redis clients use the name for broken connections. */
const abortCodes: ReadonlySet<unknown> = new Set([20, 'ABORT_ERR', 'UND_ERR_ABORTED'])

/** The default classification of what a call was rejected with; a falsy or strange value is a failure. */
export function classifyError(error: unknown): Outcome {
  if (typeof error !== 'object' || error === null) return 'failure'
  const marked = outcomeOf(error)
  if (marked !== undefined) return marked
  const { name, code, statusCode, status } = error as Readonly<Record<string, unknown>>
  if (name === 'AbortError' && abortCodes.has(code)) return 'abandoned'
  const answered = statusCode ?? status
  if (typeof answered !== 'number' || answered < 400 || answered >= 500) return 'failure'
  return silentStatuses.has(answered) ? 'ignored' : 'success'
}

/** What the abort of a caller's signal says: a time-out of the caller's is a failure, its leaving is none. */
export function classifyAbort(reason: unknown): Outcome {
  if (typeof reason !== 'object' || reason === null) return 'abandoned'
  const { name, code } = reason as Readonly<Record<string, unknown>>
  return name === 'TimeoutError' || code === 'FST_ERR_HANDLER_TIMEOUT' ? 'failure' : 'abandoned'
}

/** A classifier that throws or answers anything else must not lose the permit: what it cannot judge has failed. */
export function judged(classify: (subject: unknown) => Outcome, subject: unknown): Outcome {
  try {
    const outcome = classify(subject)
    return outcome === 'success' || outcome === 'ignored' || outcome === 'abandoned' ? outcome : 'failure'
  } catch {
    return 'failure'
  }
}
