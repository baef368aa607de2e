// Whether what runs is done for an operator whose action has an entry of its own.

import { AsyncLocalStorage } from 'node:async_hooks'

const storage = new AsyncLocalStorage<true>()

/** Runs the rest of a request whose action is entered at its end. */
export function runAudited<T>(work: () => T): T {
  return storage.run(true, work)
}

/** Whether this runs for such a request. */
export function isAudited(): boolean {
  return storage.getStore() === true
}
