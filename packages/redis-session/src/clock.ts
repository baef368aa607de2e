/**
 * Calls back after this turn of the event loop, in which all requests that came together are read. No waiting, so a
 * clock moved by hand does not have it.
 */
export function afterTurn(callback: () => void): void {
  setImmediate(callback)
}
