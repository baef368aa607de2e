/**
 * Calls back when the sockets that are readable now have been read: at the end of this turn of the event loop, after
 * everything that came with it. No waiting, so a clock moved by hand does not have it.
 */
export function afterSockets(callback: () => void): void {
  setImmediate(callback)
}
