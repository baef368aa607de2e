// Whether the clock of this machine is that of others: tokens, sessions, windows of maintenance and signatures compare
// times that different machines have written.

import type { Finding } from '@holdfast/lifecycle'
import { failed, warned } from './rules.ts'

const WARN_MS = 2000
/** Access tokens of other instances would be from the future, and windows open at another time. */
const FAIL_MS = 30_000

/** What somebody else's clock said at a moment between two readings of ours, all in ms since the Unix epoch. */
export interface ClockReading {
  readonly who: string
  readonly theirMs: number
  readonly beforeMs: number
  readonly afterMs: number
}

/** Nothing when the two clocks could be the same. */
export function clockFindings({ who, theirMs, beforeMs, afterMs }: ClockReading): Finding[] {
  // They read it in between, nobody knows when.
  const offMs = Math.max(theirMs - afterMs, beforeMs - theirMs, 0)
  if (offMs < WARN_MS) return []
  const found = offMs < FAIL_MS ? warned : failed
  const direction = theirMs > afterMs ? 'behind' : 'ahead of'
  return [
    found(
      'clock-off',
      `the clock of this machine is ${(offMs / 1000).toFixed(1)} s ${direction} that of ${who}`,
      'See which of the two is right (timedatectl, chronyc tracking), and let both follow NTP.',
      { off_ms: Math.round(offMs) },
    ),
  ]
}
