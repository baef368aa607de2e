/**
 * What a call says about its dependency. `success`: it answered. `failure`: it did not. `ignored`: nothing, the
 * call counts nowhere (it never reached the dependency). `abandoned`: the caller left before there was an answer;
 * nothing, too, unless it had waited for `slowCallMs` already, when it counts as a slow call.
 */
export type Outcome = 'success' | 'failure' | 'ignored' | 'abandoned'

/** Where an error carries its outcome; shared by all copies of this package in a process. */
const OUTCOME = Symbol.for('holdfast.circuit-breaker.outcome')

/** Marks an error with what it means to every breaker it passes, whatever its status code. */
export function withOutcome<E extends Error>(error: E, outcome: Outcome): E {
  Object.defineProperty(error, OUTCOME, { value: outcome, configurable: true })
  return error
}

/** The mark of `withOutcome`. */
export function outcomeOf(error: object): Outcome | undefined {
  return (error as { readonly [OUTCOME]?: Outcome })[OUTCOME]
}
