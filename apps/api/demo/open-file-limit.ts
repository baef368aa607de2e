// How many files, and so sockets, a process may have open: the soft limit, which processes inherit.

import { readFileSync } from 'node:fs'

/** Where nobody says, as on systems without /proc. */
const USUAL = 1024

export function openFileLimit(): number {
  try {
    return parseLimits(readFileSync('/proc/self/limits', 'utf8')) ?? USUAL
  } catch {
    return USUAL
  }
}

/** Pure: the soft limit in the text of /proc/self/limits. */
export function parseLimits(text: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1]
  if (soft === 'unlimited') return Number.MAX_SAFE_INTEGER
  return soft === undefined ? undefined : Number(soft)
}
