/**
 * How long to wait before attempt `attempt` (from 1) of reconnecting: half to all of a time that begins at
 * `firstMs`, doubles and ends at `maxMs`, so that a fleet that lost Redis in one moment does not come back in one.
 */
export function reconnectDelayMs(
  attempt: number,
  firstMs: number,
  maxMs: number,
  random: () => number,
): number {
  const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30))
  return fullMs * (0.5 + random() / 2)
}
