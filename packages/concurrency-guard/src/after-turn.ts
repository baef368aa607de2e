/**
 * Calls back after this turn of the event loop: every promise chain that needs nothing but itself is done by then. No
 * waiting, so a clock moved by hand does not have it.
 */
export function afterTurn(callback: () => void): void {
  setImmediate(callback)
}
